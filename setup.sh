#!/bin/sh
# ./setup.sh run    install what the app needs into .venv and serve it on http://localhost:8501
# ./setup.sh test   install what the tests need as well, and run every check
# ./setup.sh        the hosting step of the Procfile: Streamlit's server settings for $PORT
set -eu
cd "$(dirname "$0")"

fail() {
    echo "setup.sh: $*" >&2
    exit 1
}

# Makes .venv where there is none, and installs $1 where it has changed since.
install() {
    python=${PYTHON:-python3}
    command -v "$python" >/dev/null 2>&1 || fail "Python is missing. On Debian or Ubuntu: sudo apt install python3 python3-venv"
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        fail "$("$python" --version) is too old: Python 3.11 or newer is needed. Name another with PYTHON=python3.12 ./setup.sh ..."
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        fail "Python's venv is missing. On Debian or Ubuntu: sudo apt install python3-venv"
    [ -x .venv/bin/python ] || "$python" -m venv .venv || fail "the virtual environment .venv could not be made"
    stamp=".venv/.installed-$1"
    wanted=$(cat requirements.txt "$1" | cksum)
    if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
        echo "Installing $1 into .venv; the first time this takes some minutes."
        .venv/bin/python -m pip install --quiet --disable-pip-version-check -r "$1" ||
            fail "the packages could not be installed; is there a network?"
        echo "$wanted" >"$stamp"
    fi
}

# YuNet is what our own face detector is compared with, and taught by; the app does without it.
fetch_yunet() {
    .venv/bin/python -m fer fetch || echo "setup.sh: going on without YuNet; some tests are skipped." >&2
}

# What some tests need, as Debian packages; a test whose program is missing is skipped and says so.
install_programs() {
    missing=""
    [ -n "${FER_CHROMIUM:-}" ] || has chromium || has chromium-browser || has google-chrome ||
        missing="$missing chromium fonts-noto-color-emoji"
    ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || has initdb || missing="$missing postgresql"
    PATH="$PATH:/usr/sbin" has nginx || missing="$missing nginx"
    has turnserver || missing="$missing coturn"
    [ -n "$missing" ] || return 0
    if has apt-get; then
        sudo=""
        [ "$(id -u)" = 0 ] || sudo="sudo -n"
        # shellcheck disable=SC2086 # both are lists of words
        { $sudo apt-get update -qq && DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends $missing; } \
            >/dev/null 2>&1 && {
            # shellcheck disable=SC2086 # the tests start servers of their own
            has systemctl && $sudo systemctl disable --now $missing >/dev/null 2>&1
            return 0
        }
    fi
    echo "setup.sh: some tests are skipped. To run them all, on Debian: sudo apt install$missing" >&2
}

has() {
    command -v "$1" >/dev/null 2>&1
}

case "${1:-}" in
run)
    install requirements.txt
    exec .venv/bin/python -m streamlit run serve.py --server.port "${PORT:-8501}"
    ;;
test)
    install requirements-dev.txt
    fetch_yunet
    install_programs
    .venv/bin/python -m ruff format --check .
    .venv/bin/python -m ruff check .
    .venv/bin/python -m mypy
    .venv/bin/python -m pytest
    ;;
"")
    case "${PORT:-8501}" in *[!0-9]*) fail "PORT is ${PORT}; expected a number" ;; esac
    settings="${HOME:?}/.streamlit/config.toml"
    mark="# written by ClassMood's setup.sh"
    mkdir -p "$(dirname "$settings")"
    if [ -f "$settings" ] && ! grep -qF "$mark" "$settings"; then
        mv "$settings" "$settings.before-classmood"
        echo "setup.sh: your own $settings is kept as $settings.before-classmood" >&2
    fi
    printf '%s\n[server]\nport = %s\naddress = "0.0.0.0"\nheadless = true\n' "$mark" "${PORT:-8501}" >"$settings"
    ;;
*)
    fail "there is no '$1'; use ./setup.sh run, ./setup.sh test, or no word at all on a host"
    ;;
esac
