# What a run would cost, before anything is spent. These targets make no file that others need, and are always made anew.

# All of --config: where files are and what a job may use belongs to a plan, too.
PLAN_ARGS = " ".join(
    shlex.quote(f"{key}={json.dumps(value)}") for key, value in {"scale": workspace.config.scale, **config}.items()
)

for _name, _flag in {"plan": "", "plan_online": "--online"}.items():

    rule:
        name:
            _name
        localrule: True
        threads: all_cores
        params:
            config=PLAN_ARGS,
            flag=_flag,
            out=paths.plan,
        shell:
            "{PYTHON} -m qualiclip.bench.plan {params.flag} --cores {threads} --config {params.config} --out {params.out}"
