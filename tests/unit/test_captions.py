"""Sentences that tables, figures and the report share."""

from __future__ import annotations

import pandas as pd

from qualiclip.bench import captions
from tests.support.cards import dataset_card


def test_labels_that_are_no_opinions_are_noted():
    made = dataset_card(labels={"origin": "synthetic severity"})
    assert captions.labels_note([made, dataset_card()]) == ["Labels of My set: synthetic severity, no human opinions."]
    assert captions.label_name(made) == "label (synthetic severity)" and captions.label_name(dataset_card()) == "MOS"


def test_missing_images_are_counted():
    index = pd.DataFrame({"image": ["a", "b"]})
    assert captions.missing_note(dataset_card(3), index) == ["My set: 2 of 3 images, 1 are missing."]
    assert captions.missing_note(dataset_card(2), index) == captions.missing_note(dataset_card(), index) == []
