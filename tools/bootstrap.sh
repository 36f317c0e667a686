#!/bin/bash
# Installs what a fresh Debian machine lacks: `tools/bootstrap.sh [PART…] [--optional PART…]`,
# or only tells by its exit code whether a part is there: `tools/bootstrap.sh --has PART`.
#
# As root it installs the missing packages itself. Otherwise it says in one line which ones to install, and stops;
# where only optional parts are missing it goes on instead, except under CI=true.
set -euo pipefail

UV_VERSION=0.13.9
python=${PYTHON:-python3}

say() { echo "bootstrap: $*" >&2; }
stop() { say "$@" && exit 1; }

# Each part: is it there? What Debian calls it is in packages_of.

has_python() { "$python" -c 'import ensurepip, venv' 2>/dev/null; }

# The folder's name has the version, so it is read without starting a JVM each time.
has_jdk() {
    local javac release
    javac=$(readlink -f "${JAVA_HOME:+$JAVA_HOME/bin/javac}" || true)
    [ -x "$javac" ] || javac=$(readlink -f "$(command -v javac || true)") || return 1
    [ -x "$javac" ] || return 1
    release=$(sed -n 's/^JAVA_VERSION="\([0-9]*\).*/\1/p' "${javac%/bin/javac}/release" 2>/dev/null)
    [ "${release:-0}" -ge 17 ]
}

# And what Playwright's driver needs but does not bring.
has_chromium() {
    { command -v chromium || command -v google-chrome; } >/dev/null &&
        { compgen -G '/usr/lib/*/libatomic.so.1' || compgen -G '/usr/lib64/libatomic.so.1'; } >/dev/null
}

has_postgresql() { compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || command -v initdb >/dev/null; }

has_faketime() { compgen -G '/usr/lib/*/faketime/libfaketimeMT.so.1' >/dev/null; }

packages_of() {
    case $1 in
        python) echo python3-venv ;;
        jdk) echo default-jdk-headless ;; # 17 in Debian 12, 21 in Debian 13
        chromium) printf '%s\n' chromium libatomic1 ;;
        postgresql) echo postgresql ;;
        faketime) echo libfaketime ;;
        *) stop "unknown part $1: python, jdk, chromium, postgresql, faketime" ;;
    esac
}

missing_packages() {
    local part
    for part in "$@"; do
        "has_$part" || packages_of "$part"
    done
}

install() {
    local command="apt-get install -y --no-install-recommends $*"
    say "installing $*"
    export DEBIAN_FRONTEND=noninteractive PATH="$PATH:/usr/sbin:/sbin" # dpkg refuses to work without the latter
    # The lists may be missing or name versions that are gone: fetch them only when the install needs it.
    $command >/dev/null 2>&1 || { apt-get update -q >/dev/null && $command >/dev/null; } || stop "failed: $command"
}

install_uv() {
    local uv=.tools/uv/bin/uv
    if [ "$("$uv" --version 2>/dev/null | cut -d' ' -f2)" = $UV_VERSION ]; then return; fi
    say "installing uv $UV_VERSION into .tools/uv"
    "$python" -m venv --clear .tools/uv
    .tools/uv/bin/python -m pip install --quiet --disable-pip-version-check "uv==$UV_VERSION"
}

if [ "${1:-}" = --has ]; then "has_$2" && exit || exit 1; fi

cd "$(dirname "$0")/.."
command -v "$python" >/dev/null || stop "no $python; as root: apt-get install python3"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    stop "Python 3.11 or newer is needed, and $python is older; name another: make PYTHON=python3.12"

parts=" $* "
required=${parts%% --optional *}
optional=${parts#"$required"}
optional=${optional#* --optional}
mapfile -t needed < <(missing_packages $required)
mapfile -t wanted < <(missing_packages $optional)
missing=("${needed[@]}" "${wanted[@]}")

if [ ${#missing[@]} -gt 0 ]; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        install "${missing[@]}"
    else
        say "missing packages; as root: apt-get install ${missing[*]}"
        if [ ${#needed[@]} -gt 0 ] || [ "${CI:-}" = true ]; then exit 1; fi
        say "going on without: the tests that need them are skipped"
    fi
fi
if [[ "$required " == *" python "* ]]; then install_uv; fi
