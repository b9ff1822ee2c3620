"""The rows of an evaluation: one for each of the lengths and weights, decoded with the usual share of steps."""

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf, open_dict

from dopsd.config.errors import UserError
from dopsd.config.rows import rows_of
from dopsd.config.saved import planned, written_out
from dopsd.entry.composing import CONF
from dopsd.job.plan import Plan


def rows(*overrides: str) -> dict[str, DictConfig]:
    with initialize_config_dir(CONF, version_base="1.3"):
        config = compose("evaluate", list(overrides), return_hydra_config=True)
        return rows_of(config, config.hydra)


def lengths(*overrides: str) -> dict[str, tuple[int, int]]:
    found = rows(*overrides)
    return {
        name: (row.evaluation_sampler.gen_length, row.evaluation_sampler.denoising_steps)
        for name, row in found.items()
    }


def test_lengths_and_their_steps() -> None:
    assert lengths() == {"": (40, 40)}
    assert lengths("gen_length=16") == {"": (16, 16)}
    assert lengths("gen_length=16", "denoising_steps=8") == {"": (16, 8)}
    assert lengths("model=llada_8b", "gen_length=[128,256,512]") == {
        "gen_length=128": (128, 64),
        "gen_length=256": (256, 128),
        "gen_length=512": (512, 256),
    }
    assert lengths("gen_length=[16,32]", "denoising_steps=4") == {
        "gen_length=16": (16, 4),
        "gen_length=32": (32, 4),
    }


def test_a_share_of_steps_that_is_no_number_is_refused() -> None:
    with pytest.raises(
        UserError, match="gen_length=101: the usual 128 steps for 256 tokens are no whole number"
    ):
        rows("model=llada_8b", "gen_length=101")


def test_a_comparison_has_no_rows_and_training_keys_are_refused() -> None:
    assert rows("compare=[a,b]") == {}
    with pytest.raises(UserError, match=r"rho=0\.5: an evaluation does not read it"):
        rows("compare=[a,b]", "rho=0.5")


@pytest.mark.parametrize(
    ("way", "value"),
    [("cache=dual", "dual"), ("threshold=0.9", 0.9), ("evaluation_sampler.cache=dual", "dual")],
)
def test_each_approximate_row_follows_an_exact_one(way: str, value: object) -> None:
    found = rows(way, "gen_length=[16,32]")
    assert list(found) == [
        f"gen_length={length}{exact}" for length in (16, 32) for exact in ("/decoding=exact", "")
    ]
    for name, row in found.items():
        assert {row.evaluation_sampler.cache, row.evaluation_sampler.threshold} == {
            None,
            None if name.endswith("exact") else value,
        }
    assert list(rows(way)) == ["decoding=exact", ""]
    assert list(rows(way, "baseline=there")) == list(rows("remasking=margin")) == [""]


def test_the_exact_cache_needs_no_row_of_exact_decoding() -> None:
    assert list(rows("cache=exact")) == [""]
    exact, approximate = rows("cache=exact", "threshold=0.9").values()
    assert [exact.evaluation_sampler.cache, exact.evaluation_sampler.threshold] == ["exact", None]
    assert [approximate.evaluation_sampler.cache, approximate.evaluation_sampler.threshold] == ["exact", 0.9]


def test_every_key_of_an_evaluation_builds() -> None:
    keys = ("samples=2", "temperature=0.5", "long_prompts=skip", "eval_limit=3")
    (row,) = rows(*keys, "model.init=random").values()
    plan = Plan.of(row)
    assert plan.settings.long_prompts == "skip"
    assert plan.evaluation_sampler.temperature == 0.5


def test_prompts_are_put_as_in_the_run_unless_typed(tmp_path: Path) -> None:
    with initialize_config_dir(CONF, version_base="1.3"):
        config = compose("train", ["parity=code"], return_hydra_config=True)
        with open_dict(config):
            hydra = config.pop("hydra")
        saved = written_out(planned(config, hydra))
    (tmp_path / "weights" / "best").mkdir(parents=True)
    OmegaConf.save(saved, tmp_path / "config.yaml")
    (row,) = rows(f"checkpoint={tmp_path}", "evaluation.padding=masked").values()
    assert (row.evaluation.prefill, row.evaluation.padding) == ("<reasoning>", "masked")
    del saved.evaluation  # as runs were before
    OmegaConf.save(saved, tmp_path / "config.yaml")
    (row,) = rows(f"checkpoint={tmp_path}").values()
    assert (row.evaluation.prefill, row.evaluation.padding) == ("", "masked")
