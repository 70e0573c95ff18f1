"""What a run must find as it was when it goes on; the whole of it is tested with the train command."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from mimicjax import config
from mimicjax.config.settings import RunSettings
from mimicjax.errors import UserError
from mimicjax.run import checkpoint, loop


@pytest.mark.parametrize(("there", "here"), [(2, 1), (0, 2)])
def test_another_reference_table_is_one_line(there, here, tmp_path, monkeypatch):
    facts = {"config": config.to_dict(RunSettings()), "motion_hash": "m", "reference_rows": there}
    monkeypatch.setattr(checkpoint, "read_facts", lambda folder: facts)
    training = SimpleNamespace(settings=RunSettings(), facts={**facts, "reference_rows": here})
    with pytest.raises(UserError) as error:
        loop.restore(training, tmp_path)  # pyright: ignore[reportArgumentType]
    assert "\n" not in str(error.value)
    assert f"{there} reference rows per control step, and this machine's memory allows {here}" in str(error.value)
