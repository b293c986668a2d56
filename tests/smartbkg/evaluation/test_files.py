"""Which files make a filter: what lies together is found, what does not belong together is refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from smartbkg.errors import ManifestMissing, ModelMismatch, NotAModel, TrainingError
from smartbkg.evaluation.files import FilterFiles, find_files, open_filter
from smartbkg.smartbackground import BATCHED_FILE, CONFIG_FILE, WEIGHTS_FILE
from support.foreign import SKIMS, sha256, write_config, write_weights
from support.trained import write_trained
from support.trained_multiskim import write_multiskim


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_multiskim(tmp_path / "trained")


def test_a_folder_a_configuration_and_the_weights_lead_to_the_same_three_files(folder: Path) -> None:
    found = [find_files(path) for path in (folder, folder / CONFIG_FILE, folder / WEIGHTS_FILE)]
    for files in found:
        assert (files.weights, files.config, files.batched) == tuple(
            folder / name for name in (WEIGHTS_FILE, CONFIG_FILE, BATCHED_FILE)
        )
    assert [files.name for files in found] == [str(folder), str(folder / CONFIG_FILE), str(folder / WEIGHTS_FILE)]
    opened = open_filter(found[0])
    assert opened.kind == "multiskim"
    assert opened.skims == tuple(SKIMS)
    assert opened.sha256["batched"] == sha256(folder / BATCHED_FILE)


def test_the_batched_form_alone_is_a_filter(folder: Path) -> None:
    (folder / WEIGHTS_FILE).unlink()
    opened = open_filter(find_files(folder / BATCHED_FILE))
    assert opened.sha256 == {"weights": sha256(folder / BATCHED_FILE), "config": sha256(folder / CONFIG_FILE)}


def test_the_export_is_preferred_to_the_checkpoint(tmp_path: Path) -> None:
    trained = write_trained(tmp_path)
    assert find_files(trained) == FilterFiles(trained / "GATGAPgen.onnx", source=str(trained))
    exported = open_filter(find_files(trained))
    assert exported.skims == ("feiHadronic",)
    assert exported.sha256["checkpoint"] == sha256(trained / "GATGAPgen.pth")
    checkpoint = open_filter(find_files(trained / "GATGAPgen.pth"))
    assert checkpoint.sha256["weights"] == checkpoint.sha256["checkpoint"] == exported.sha256["checkpoint"]


def test_what_is_not_there_is_named(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no trained filter in"):
        find_files(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"none\.onnx"):
        find_files(tmp_path / "none.onnx")
    (folder / CONFIG_FILE).unlink()
    with pytest.raises(FileNotFoundError, match=r"SmartBackgroundConfig_default\.json: weights and configuration of"):
        find_files(folder)


def test_a_folder_with_two_filters_needs_a_name(folder: Path) -> None:
    write_trained(folder)
    with pytest.raises(TrainingError, match=r"two filters: name GATGAPgen\.onnx or SmartBackgroundWeights_default"):
        find_files(folder)


def test_weights_without_a_configuration_are_no_filter(folder: Path, tmp_path: Path) -> None:
    alone = Path(shutil.copy(folder / WEIGHTS_FILE, tmp_path / "alone.onnx"))
    with pytest.raises(ModelMismatch, match="nothing says what its outputs mean: name its configuration with --config"):
        open_filter(find_files(alone))
    assert open_filter(find_files(alone, folder / CONFIG_FILE)).skims == tuple(SKIMS)


def test_weights_and_configuration_of_two_trainings_are_refused(folder: Path, tmp_path: Path) -> None:
    other = write_multiskim(tmp_path / "other", seed=2)
    with pytest.raises(ModelMismatch, match="two trainings"):
        open_filter(find_files(folder / WEIGHTS_FILE, other / CONFIG_FILE))
    shutil.copy(other / BATCHED_FILE, folder / BATCHED_FILE)
    with pytest.raises(ModelMismatch):
        open_filter(find_files(folder))


def test_a_foreign_configuration_with_another_number_of_skims_is_refused(tmp_path: Path) -> None:
    weights = write_weights(tmp_path / WEIGHTS_FILE, n_skims=3)
    write_config(tmp_path / CONFIG_FILE)
    with pytest.raises(ModelMismatch, match="3 outputs and its configuration names 4 skims"):
        open_filter(find_files(weights))


def test_a_companion_that_is_not_made_of_the_weights_is_refused(tmp_path: Path, folder: Path) -> None:
    weights, config = write_weights(tmp_path / WEIGHTS_FILE), write_config(tmp_path / CONFIG_FILE)
    shutil.copy(folder / BATCHED_FILE, tmp_path / BATCHED_FILE)
    with pytest.raises(ModelMismatch, match="is not made of"):
        open_filter(FilterFiles(weights, config, tmp_path / BATCHED_FILE))


@pytest.mark.parametrize(("content", "error"), [(b"", NotAModel), (b"nonsense", NotAModel)])
def test_files_that_are_no_network_are_refused(content: bytes, error: type[Exception], tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(content)
    with pytest.raises(error, match=r"model\.onnx"):
        open_filter(find_files(tmp_path / "model.onnx"))


def test_a_gatgap_export_without_manifest_is_refused(tmp_path: Path) -> None:
    import onnx

    trained = write_trained(tmp_path)
    model = onnx.load(trained / "GATGAPgen.onnx")
    del model.metadata_props[:]
    onnx.save(model, trained / "GATGAPgen.onnx")
    with pytest.raises(ManifestMissing):
        open_filter(find_files(trained))
