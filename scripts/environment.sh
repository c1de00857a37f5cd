# Sourced by the other scripts: makes .venv from the locked requirements, once for each state of the lock file.
# shellcheck shell=sh

umslab_fail() {
    printf 'umslab: %s\n' "$*" >&2
    exit 1
}

umslab_python() {
    for candidate in "${UMSLAB_PYTHON:-python3}" python3.13 python3.12 python3.11; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            printf '%s\n' "$candidate"
            return
        fi
    done
    umslab_fail "Python 3.11 or newer is needed; set UMSLAB_PYTHON to one"
}

# umslab_environment runtime|dev
umslab_environment() {
    stamp=".venv/.umslab-$1-$(cat "requirements/$1.txt" pyproject.toml | sha256sum | cut -c1-16)"
    [ -e "$stamp" ] && return
    python=$(umslab_python)
    if [ ! -x .venv/bin/pip ]; then
        "$python" -c 'import ensurepip' 2>/dev/null || umslab_apt python3-venv
        "$python" -m venv .venv || umslab_fail "could not make a virtual environment in .venv"
    fi
    printf 'umslab: installing the locked requirements (%s)\n' "$1" >&2
    .venv/bin/pip install --quiet --disable-pip-version-check --require-hashes -r "requirements/$1.txt" \
        || umslab_fail "installing failed; see above"
    .venv/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable . \
        || umslab_fail "installing umslab itself failed; see above"
    : >"$stamp"
}

# Install Debian packages when that is possible; say so when it is not.
umslab_apt() {
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || umslab_fail "install these packages first: $*"
    if ! DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null 2>&1; then
        apt-get update -qq >/dev/null
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
    fi
}
