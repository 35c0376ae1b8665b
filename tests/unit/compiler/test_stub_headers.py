import pytest

from exporter.compiler.stub_headers import stub_headers


@pytest.mark.parametrize(
    ("release", "code"),
    [("6.1.0-18-amd64", 0x060100), ("5.10.234", 0x050AEA), ("6.18-rc3", 0x061200), ("4.19.325-cip1", 0x0413FF)],
)
def test_the_version_code_is_the_kernels_own(release, code):
    assert f"#define LINUX_VERSION_CODE {code}\n" in stub_headers(release, 4096)["include/linux/version.h"]


def test_the_headers_define_the_page_size():
    assert "#define PAGE_SIZE 65536\n" in stub_headers("6.1", 65536)["include/linux/types.h"]
