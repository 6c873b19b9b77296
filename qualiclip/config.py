"""Training configuration (pydantic). It needs no torch, so that a workflow can check it before any job starts."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

# The files of a checkpoint folder.
WEIGHTS = "weights.safetensors"
TRAIN_RECORD = "train.json"

# Keys of TrainConfig that say how long and how fast a variant is trained.
SCHEDULE = ("epochs", "steps", "crop_pairs", "accumulate", "lr", "weight_decay", "warmup", "schedule", "ema_decay")


PROMPT_PAIRS: tuple[tuple[str, str], ...] = (
    ("Good photo.", "Bad photo."),
    ("Sharp image.", "Blurry image."),
    ("Sharp edges.", "Blurry edges."),
    ("High-resolution image.", "Low-resolution image."),
    ("Noise-free image.", "Noisy image."),
    ("High-quality image.", "Low-quality image."),
    ("Good picture.", "Bad picture."),
)


class TrainConfig(BaseModel):
    """One training variant. Defaults are the paper's; those marked * are recalled from memory and unconfirmed."""

    model_config = ConfigDict(extra="forbid")

    renamed: ClassVar[dict[str, str]] = {  # former key -> its present name, for the error message
        "scale": "logit_scale",
        "average": "ema_decay",
        "mildest": "first_level",
        "pairs": "crop_pairs",
        "degradations": "types_per_pair",
        "downscale": "min_downscale",
        "rank_across": "lambda_across",
        "crops": "crop_layout",
    }

    encoder: str = Field("RN50-quickgelu", description="open_clip model name, or one of qualiclip/encoders")
    pretrained: str | None = Field("openai", description="open_clip weights tag; null trains from random weights")
    prompt_pairs: list[tuple[str, str]] | None = Field(None, description="null: the seven pairs of the released code")
    logit_scale: float = Field(100.0, gt=0, description="factor on cosine similarities when scoring (hub code: 100)")

    crop: int = Field(224, ge=64, description="crop side, px *")
    crop_layout: Literal["overlapping", "disjoint", "single"] = Field(
        "overlapping", description="position of the two crops of a pair; single: one crop in place of a pair"
    )
    min_downscale: float = Field(
        1.0, gt=0, le=1, description="before cropping, a photo is shrunk by a random factor between this and 1"
    )
    crop_pairs: int = Field(16, ge=1, description="crop pairs per step *")
    accumulate: int = Field(1, ge=1, description="steps whose gradients are added before an update")
    levels: int = Field(5, ge=2, le=6, description="degradation levels L of a pair *")
    first_level: float = Field(
        1.0, ge=0, lt=5, description="first of the levels, the last is 5; 0 is the undegraded crop *"
    )
    types_per_pair: int = Field(1, ge=1, le=2, description="degradation types applied in sequence to a pair *")

    generator: Literal["kadid", "arniqa"] = Field(
        "arniqa", description="operations of the degradations, where KADID-10k's and the authors' ARNIQA's differ *"
    )

    margin_consistency: float = Field(2.5e-3, ge=0, description="m_cons *")
    margin_ranking: float = Field(6.75e-2, ge=0, description="m_rank *")
    lambda_consistency: float = Field(1.0, ge=0, description="weight of L_cons *")
    lambda_positive: float = Field(1.0, ge=0, description="weight of L_pos *")
    lambda_negative: float = Field(1.0, ge=0, description="weight of L_neg *")
    lambda_across: float = Field(
        0.0, ge=0, description="weight, in L_pos and L_neg, of ranking between different photos; not in the paper"
    )

    batch_norm: Literal["train", "frozen"] = Field(
        "train", description="train: batch norms normalise by the batch, and their statistics follow; frozen: neither *"
    )
    norm_batches: int = Field(
        300,
        ge=0,
        description="batches over which a run in train mode estimates the statistics anew at its end; 0: none",
    )
    freeze_norms_at: float = Field(
        1.0,
        gt=0,
        le=1,
        description="share of the steps after which a run in train mode estimates the statistics anew and freezes the "
        "batch norms, so that the rest is trained as it will be scored; 1: never; not in the paper",
    )
    lr: float = Field(1e-9, gt=0, description="AdamW learning rate *")
    weight_decay: float = Field(1e-2, ge=0, description="AdamW weight decay *")
    warmup: int = Field(0, ge=0, description="steps of linear warm-up")
    schedule: Literal["constant", "cosine"] = Field("constant", description="learning rate after the warm-up")
    ema_decay: float = Field(0.0, ge=0, lt=1, description="decay of an exponential moving average of weights; 0: none")
    epochs: float | None = Field(10, gt=0, description="passes over the pristine images *")
    steps: int | None = Field(None, ge=0, description="steps, in place of epochs; 0 is the untrained encoder")
    holdout: float = Field(0.05, gt=0, lt=0.5, description="share of pristine images kept for rank consistency")
    seed: int = Field(0, ge=0, description="of everything random in the run")
    precision: Literal["float32", "bfloat16"] = Field("bfloat16", description="of the encoder, where the device has it")
    checkpoint_every: int = Field(500, ge=1, description="steps between resumable checkpoints")

    @model_validator(mode="after")
    def _length(self) -> TrainConfig:
        if (self.epochs is None) == (self.steps is None):
            raise ValueError("set either epochs or steps, the other null")
        return self

    def same_schedule(self, other: TrainConfig) -> bool:
        """Whether two variants are trained for as long and as fast, so that what else differs makes the difference."""
        return all(getattr(self, key) == getattr(other, key) for key in SCHEDULE)

    @property
    def images(self) -> int:
        """Degraded images behind one update."""
        crops = 1 if self.crop_layout == "single" else 2
        return self.crop_pairs * crops * self.levels * self.accumulate

    def norm_freeze_step(self, total: int) -> int | None:
        """The step, of `total`, before which the batch norms are frozen; None: they stay as the run began."""
        if total and self.batch_norm == "train" and self.freeze_norms_at < 1:
            return round(self.freeze_norms_at * total)
        return None

    def total_steps(self, n_images: int) -> int:
        """Steps of the whole run for a pristine set of n_images."""
        if self.steps is not None:
            return self.steps
        return max(1, round(self.epochs * n_images / self.crop_pairs))
