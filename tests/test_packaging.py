"""The program works from a checkout, an editable install and a wheel. Each is made for real, without a network: a bare
venv sees the libraries of this one through a path file, but not this one's own `llm-link`."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import sysconfig
import time
import tomllib
import urllib.error
import urllib.request
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.harness import clean_environ, free_port

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("addons", "configs", "scripts", "translators")


def run(*argv: object, check: bool = True, **options: object) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([str(arg) for arg in argv], capture_output=True, text=True, timeout=60, **options)  # type: ignore[call-overload]
    assert not check or done.returncode == 0, f"{argv}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done  # type: ignore[no-any-return]


def copy_of_checkout(to: Path) -> Path:
    """Installing writes into the sources, so it happens in a copy."""
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, to / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, to / name)
    return to


def bare_venv(folder: Path) -> Path:
    """A venv with our libraries and without `llm_link`; gives its Python."""
    run(sys.executable, "-m", "venv", "--without-pip", folder)
    python = folder / "bin" / "python"
    purelib = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").stdout.strip()
    # A plain path line: path files of that folder (an editable `llm-link` among them) are not read.
    Path(purelib, "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


def pip(python: Path, *words: object) -> None:
    flags = ("--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check")
    run(sys.executable, "-m", "pip", "--python", python, *words, *flags)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = copy_of_checkout(tmp_path_factory.mktemp("wheel"))
    flags = ("--quiet", "--no-deps", "--no-build-isolation", "--no-index")
    run(sys.executable, "-m", "pip", "wheel", *flags, "-w", source, source)
    return next(source.glob("*.whl"))


@dataclass
class Installed:
    """`command` starts `llm-link`; `home` is the folder that its code is in."""

    python: Path
    command: list[str]
    home: Path


@pytest.fixture(scope="module", params=["checkout", "editable", "wheel"])
def installed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder = tmp_path_factory.mktemp(request.param)
    python = bare_venv(folder / "venv")
    script = str(python.with_name("llm-link"))
    match request.param:
        case "checkout":
            return Installed(python, [str(python), str(ROOT / "scripts" / "cli.py")], ROOT)
        case "editable":
            source = copy_of_checkout(folder / "source")
            pip(python, "install", "-e", source)
            return Installed(python, [script], source)
        case _:
            pip(python, "install", request.getfixturevalue("wheel"))
            home = run(python, "-c", "import llm_link; print(list(llm_link.__path__)[0])").stdout.strip()
            return Installed(python, [script], Path(home))


def environ(home: Path) -> dict[str, str]:
    """mitmproxy keeps its certificates under HOME; tests that run side by side must not share them."""
    return {**{k: v for k, v in clean_environ().items() if not k.startswith("PYTHON")}, "HOME": str(home)}


def python_says(installed: Installed, code: str, cwd: Path) -> str:
    return run(installed.python, "-c", code, cwd=cwd, env=environ(cwd)).stdout.strip()


def test_it_serves(installed: Installed, tmp_path: Path) -> None:
    port = free_port()
    config = tmp_path / "llm-link.yaml"
    config.write_text("upstreams: {local: {protocol: openai-chat, base_url: http://127.0.0.1:9/v1}}")
    argv = [*installed.command, "serve", "--config", str(config), "--port", str(port)]
    log = tmp_path / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(argv, stdout=out, stderr=out, cwd=tmp_path, env=environ(tmp_path))
    try:
        end = time.monotonic() + 30
        while time.monotonic() < end and process.poll() is None:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=5) as answer:
                    assert answer.status == 200
                    return
            except urllib.error.URLError:
                time.sleep(0.05)
        pytest.fail(f"not ready:\n{log.read_text()}")
    finally:
        process.terminate()
        process.wait(10)


def test_its_code_is_where_it_was_installed(installed: Installed, tmp_path: Path) -> None:
    code = "import sys; sys.argv[0] = 'x'; {}; import addons.settings, translators; print(translators.__file__)"
    first = "import llm_link.scripts.cli"
    if installed.home == ROOT:
        first = f"import runpy; runpy.run_path({str(ROOT / 'scripts' / 'cli.py')!r})"
    assert Path(python_says(installed, code.format(first), tmp_path)) == installed.home / "translators" / "__init__.py"


def test_the_library_can_be_imported(installed: Installed, tmp_path: Path) -> None:
    if installed.home == ROOT:
        assert python_says(installed, "import importlib.util as u; print(u.find_spec('llm_link'))", tmp_path) == "None"
        return
    code = "import llm_link.translators as t; print(sorted(t.CODECS)); print(t.__file__)"
    names, file = python_says(installed, code, tmp_path).splitlines()
    assert "anthropic" in names and "openai-chat" in names
    assert Path(file).parent == installed.home / "translators"


def test_the_wheel_is_one_folder_that_holds_everything(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if not name.endswith("/")}
    kinds = (".py", ".yaml", ".html", ".css", ".js")
    ours = {f for folder in FOLDERS for f in (ROOT / folder).rglob("*") if f.suffix in kinds}
    expected = {f"llm_link/{f.relative_to(ROOT).as_posix()}" for f in ours}
    assert {name for name in names if ".dist-info/" not in name} == expected


def test_every_package_is_named_in_the_wheel_map() -> None:
    setup = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    folders = {f.parent.relative_to(ROOT) for folder in FOLDERS for f in (ROOT / folder).rglob("__init__.py")}
    assert set(setup["packages"]) == {"llm_link.configs", *(f"llm_link.{'.'.join(f.parts)}" for f in folders)}


def test_constraints_pin_versions_only() -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    names = [line.partition("==")[0].lower().replace("_", "-") for line in lines]
    assert all(len(line.split("==")) == 2 and "/" not in line and " " not in line for line in lines)
    assert names == sorted(names)
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*needed["dependencies"], *needed["optional-dependencies"]["dev"]]
    assert {w.split(">")[0] for w in wanted} <= set(names)


def test_the_example_of_the_library_prints_what_it_says(installed: Installed, tmp_path: Path) -> None:
    text = (ROOT / "docs" / "library.md").read_text("utf-8")
    code, printed = re.findall(r"^```(?:python|text)\n(.*?)^```", text, re.M | re.S)
    if installed.home == ROOT:  # nothing is installed: the folders are the packages
        code = f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{code.replace('llm_link.', '')}"
    heavy = "print([name for name in ('mitmproxy', 'pydantic', 'httpx') if name in __import__('sys').modules])"
    assert python_says(installed, f"{code}\n{heavy}", tmp_path) == f"{printed}[]"


def test_a_translators_of_somebody_else_is_no_matter(installed: Installed, tmp_path: Path) -> None:
    if installed.home == ROOT:
        return
    (tmp_path / "translators.py").write_text("raise RuntimeError('somebody else')")
    code = "import llm_link.addons.catalog as c, llm_link.translators.offline; print(c.get_models('zhipu')[0].id)"
    assert python_says(installed, code, tmp_path).startswith("glm-")
