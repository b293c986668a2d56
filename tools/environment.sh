# Sourced by the tools: makes .venv if it is missing and installs what is asked for. Not a command of its own.
# Needs Python >= 3.11 with pip; with apt and the rights to use it, missing system packages are installed too.

say() { printf '\033[1m%s\033[0m\n' "$*" >&2; }

# apt_install WHY PACKAGE...: install Debian packages, or say what the operator must install.
apt_install() {
    local why=$1
    shift
    if ! command -v apt-get >/dev/null 2>&1; then
        say "$why is missing and there is no apt-get here: please install the counterpart of: $*"
        return 1
    fi
    local sudo=()
    if [ "$(id -u)" != 0 ]; then
        if ! sudo -n true 2>/dev/null; then
            say "$why is missing and this user may not install packages. Ask for: apt-get install $*"
            return 1
        fi
        sudo=(sudo -n)
    fi
    say "installing $* ($why)"
    DEBIAN_FRONTEND=noninteractive "${sudo[@]}" apt-get install -y -q --no-install-recommends "$@" >&2 && return 0
    "${sudo[@]}" apt-get update -q >&2
    DEBIAN_FRONTEND=noninteractive "${sudo[@]}" apt-get install -y -q --no-install-recommends "$@" >&2
}

find_python() {
    local candidate
    for candidate in python3 python3.14 python3.13 python3.12 python3.11; do
        if command -v "$candidate" >/dev/null 2>&1 &&
            "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return 0
        fi
    done
    say "Python 3.11 or newer is needed; python3 here is: $(python3 --version 2>&1 || echo none)"
    return 1
}

# make_venv EXTRAS: .venv with this project, editable, and its extras; quick when nothing changed.
make_venv() {
    local extras=$1 python stamp
    stamp=".venv/.installed-$(cat pyproject.toml tools/constraints.txt | sha256sum | cut -c1-16)-$extras"
    [ -f "$stamp" ] && return 0
    if [ ! -x .venv/bin/python ] || ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
        python=$(find_python)
        say "making .venv with $python"
        rm -rf .venv
        if ! "$python" -m venv .venv >/dev/null 2>&1; then
            rm -rf .venv
            apt_install "Python's venv module" python3-venv
            "$python" -m venv .venv
        fi
    fi
    say "installing smartbkg[$extras] and what it needs into .venv (some minutes the first time)"
    # torch first and alone: asked for by its exact version, pip takes the build that fits this project.
    .venv/bin/python -m pip install -q --disable-pip-version-check "$(grep '^torch==' tools/constraints.txt)" >&2
    .venv/bin/python -m pip install -q --disable-pip-version-check -c tools/constraints.txt -e ".[$extras]" >&2
    touch "$stamp"
}

need_postgresql() {
    compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || command -v initdb >/dev/null 2>&1 ||
        apt_install "PostgreSQL (the tests start a real cluster)" postgresql
}

need_chromium() {
    command -v chromium >/dev/null 2>&1 || command -v google-chrome >/dev/null 2>&1 ||
        apt_install "a browser (the tests open the report in it)" chromium
}

need_nginx() {
    [ -x /usr/sbin/nginx ] || command -v nginx >/dev/null 2>&1 ||
        apt_install "nginx (a test puts it in front of the server as a cache)" nginx-light
}
