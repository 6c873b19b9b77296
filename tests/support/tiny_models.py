"""Models of Hugging Face in their real architectures, tiny and with random weights; made without a network."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
    Qwen2VLImageProcessor,
    Qwen2VLVideoProcessor,
    Qwen3_5Config,
    Qwen3_5ForConditionalGeneration,
    Qwen3VLProcessor,
    Qwen3VLVideoProcessor,
)

MARKS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>"]
MARKS += ["<|video_pad|>", "<|vision_pad|>"]
WORDS = "The quality of the image is excellent good fair poor bad. How would you rate this picture? user assistant"
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{% for part in message.content %}"
    "{% if part.type == 'image' %}<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ part.text }}{% endif %}"
    "{% endfor %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
WIDTH, HEADS = 32, 2
TEXT = {
    "hidden_size": WIDTH,
    "intermediate_size": 2 * WIDTH,
    "num_attention_heads": HEADS,
    "num_key_value_heads": HEADS,
    "num_hidden_layers": 2,
    "bos_token_id": None,
    "eos_token_id": None,
}
VISION = {
    "depth": 2,
    "hidden_size": WIDTH,
    "num_heads": HEADS,
    "intermediate_size": 2 * WIDTH,
    "out_hidden_size": WIDTH,
}
SMALLEST, LARGEST = 56 * 56, 112 * 112  # px that the image processor resizes to


def tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level tokenizer that knows the words of the question and of the levels."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    bpe.train_from_iterator(
        [WORDS] * 4, trainers.BpeTrainer(vocab_size=600, special_tokens=MARKS, initial_alphabet=alphabet)
    )
    marks = {"image_token": "<|image_pad|>", "video_token": "<|video_pad|>"}
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe, eos_token="<|im_end|>", pad_token="<|endoftext|>", extra_special_tokens=marks
    )


def _mark_ids(words: PreTrainedTokenizerFast) -> dict[str, int]:
    names = ("image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id")
    marks = ("<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>")
    return dict(zip(names, words.convert_tokens_to_ids(list(marks)), strict=True))


def _save(folder: Path, model: PreTrainedModel, processor: object | None = None) -> None:
    """Write a model with weights that are no longer tiny: at their usual start, the levels hardly differ."""
    torch.manual_seed(0)
    for parameter in model.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=parameter.shape[-1] ** -0.5)
    model.save_pretrained(folder)
    if processor:
        processor.save_pretrained(folder)


def qwen2_5_vl(folder: Path) -> None:
    """Write a Qwen2.5-VL and its processor."""
    words = tokenizer()
    rope = {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 10000.0}
    text = {**TEXT, "vocab_size": len(words), "rope_parameters": rope}
    vision = {**VISION, "fullatt_block_indexes": [1]}
    config = Qwen2_5_VLConfig(text_config=text, vision_config=vision, **_mark_ids(words))
    processor = Qwen2_5_VLProcessor(
        Qwen2VLImageProcessor(min_pixels=SMALLEST, max_pixels=LARGEST),
        words,
        Qwen2VLVideoProcessor(),
        chat_template=TEMPLATE,
    )
    _save(folder, Qwen2_5_VLForConditionalGeneration(config), processor)


def qwen3_5(folder: Path) -> None:
    """Write a Qwen3.5, one of whose two layers is linear attention, and its processor."""
    words = tokenizer()
    linear = {"linear_key_head_dim": 16, "linear_value_head_dim": 16}
    linear |= {"linear_num_key_heads": HEADS, "linear_num_value_heads": HEADS}
    rope = {"rope_type": "default", "rope_theta": 1e4, "partial_rotary_factor": 0.5, "mrope_section": [2, 1, 1]}
    layers = ["linear_attention", "full_attention"]
    text = {**TEXT, **linear, "vocab_size": len(words), "head_dim": 16, "layer_types": layers, "rope_parameters": rope}
    vision = {**VISION, "num_position_embeddings": 64}
    config = Qwen3_5Config(text_config=text, vision_config=vision, **_mark_ids(words))
    processor = Qwen3VLProcessor(
        Qwen2VLImageProcessor(min_pixels=SMALLEST, max_pixels=LARGEST, patch_size=16),
        words,
        Qwen3VLVideoProcessor(),
        chat_template=TEMPLATE,
    )
    _save(folder, Qwen3_5ForConditionalGeneration(config), processor)


def in_cache(hub: Path, model: str) -> Path:
    """The folder of a model, owner/name, in a cache of Hugging Face that holds its newest version."""
    folder = hub / f"models--{model.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True, exist_ok=True)
    (folder / "refs/main").write_text("made")
    return folder / "snapshots/made"
