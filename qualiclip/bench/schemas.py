"""Write workflow/schemas/: JSON Schemas of cards and configs, for editors and readers.

`python -m qualiclip.bench.schemas`. Validation itself is done by the same models, in `cards`.
"""

from __future__ import annotations

import json
from pathlib import Path

from qualiclip.bench.cards import DatasetCard, FigureCard, MethodCard, ScaleConfig, TableCard
from qualiclip.bench.files import write_text
from qualiclip.config import TrainConfig


def main() -> None:
    for model in (DatasetCard, FigureCard, MethodCard, ScaleConfig, TableCard, TrainConfig):
        path = Path("workflow/schemas") / f"{model.__name__}.json"
        write_text(path, json.dumps(model.model_json_schema(), indent=2) + "\n")
        print(path)


if __name__ == "__main__":
    main()
