# Sourced by the scripts beside it. Makes sure that .venv holds what pyproject.toml and constraints.txt ask for, with
# `llm-link` in it, and goes to the root of the checkout. Sets `python`. Does nothing where all is in place.
#
# .venv/llm-link.stamp says what was installed and where: a checkout that was moved needs a new .venv, since the programs
# in it begin with their interpreter's old path.
set -euo pipefail

cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
root=$(pwd -P)
python=$root/.venv/bin/python
stamp=$root/.venv/llm-link.stamp
log=$root/.venv/setup.log
home=${HOME:-$(cd ~ 2>/dev/null && pwd || true)}

say() { printf '%s\n' "$*" >&2; }

# A name may be a shim that leads nowhere, or a Python without venv (Debian packs it apart): run it to know.
usable() { "$1" -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 12))' >/dev/null 2>&1; }

# 3.13 and 3.12 before 3.14: the pinned versions were tried on those two.
candidates() {
    printf '%s\n' python3.13 python3.12 python3.14 python3 python
    ls -d "${PYENV_ROOT:-$home/.pyenv}"/versions/3.*/bin/python3 2>/dev/null | sort -rV || true
    if command -v uv >/dev/null 2>&1; then uv python find '>=3.12' 2>/dev/null || true; fi
}

find_python() {
    local name
    while IFS= read -r name; do
        if usable "$name"; then printf '%s\n' "$name"; return 0; fi
    done < <(candidates)
    return 1
}

make_venv() {
    local base
    if ! base=$(find_python); then
        say 'LLM Link needs Python 3.12 or newer, and none was found on PATH, in pyenv or with uv. One of these gives you one:'
        say '    uv python install 3.13'
        say '    pyenv install 3.13'
        say '    sudo apt install python3.12 python3.12-venv      # or your system'"'"'s own packages'
        say 'Then run this again.'
        exit 2
    fi
    say "Making .venv with $("$base" --version) ..."
    "$base" -m venv --clear .venv
}

# A .venv that works here: its interpreter runs, has pip, and its programs were made for this place.
venv_works() {
    [ -x "$python" ] && usable "$python" && "$python" -m pip --version >/dev/null 2>&1 &&
        grep -qF "$root/.venv/" .venv/bin/pip 2>/dev/null
}

install() {
    venv_works || make_venv
    say 'Installing what LLM Link needs into .venv (once, about a minute) ...'
    if ! "$python" -m pip install --disable-pip-version-check -q -e '.[dev]' -c constraints.txt >"$log" 2>&1; then
        tail -n 30 "$log" >&2
        say 'The installation failed; the lines above say why. It needs the network once.'
        exit 1
    fi
    # Where Python is told to write no bytecode, each start would compile everything anew.
    "$python" -m compileall -q addons scripts translators >>"$log" 2>&1 || say 'The bytecode could not be written; starts take longer.'
    printf '%s\n' "$wanted" >"$stamp"
}

wanted="$root $(cat pyproject.toml constraints.txt | cksum)"
if [ ! -x "$python" ] || [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then install; fi
