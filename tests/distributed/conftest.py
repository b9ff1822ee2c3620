"""What `on_two` asserts is explained like what tests assert."""

import pytest

pytest.register_assert_rewrite("on_two")
