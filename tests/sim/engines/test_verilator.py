"""What Verilator writes beside its C++."""

import pytest

from sim.engines.verilator import model


@pytest.mark.parametrize("indent", ["\t", "  "], ids=["5.006", "5.048"])
def test_the_list_of_files_is_read_in_every_form(indent: str) -> None:
    """A list that is read as empty leaves a model without its classes, which only the linker would say."""
    makefile = (
        f"VM_CLASSES_FAST += \\\n{indent}Vmodel \\\n{indent}Vmodel___024root__0 \\\n\n# more\nVM_CLASSES_SLOW += \\\n\n"
    )
    assert model._classes(makefile, "VM_CLASSES_FAST") == ["Vmodel", "Vmodel___024root__0"]
    assert model._classes(makefile, "VM_CLASSES_SLOW") == []
