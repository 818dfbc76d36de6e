#!/bin/sh
# Inside a build: make the virtual environment /opt/env, or put the packages of a lock into it.
#   install.sh [LOCK]
# Beside it lie uv, compile.py and wheels/, and perhaps certificates.pem and index.env (lines NAME='value').
set -eu
here=$(dirname "$0")
lock=${1-}
cd /
# What is compiled is compiled by compile.py alone, the same bytes in every build.
export PYTHONDONTWRITEBYTECODE=1
if [ -s "$here/index.env" ]; then
    set -a
    . "$here/index.env"
    set +a
fi
if [ -s "$here/certificates.pem" ]; then
    export SSL_CERT_FILE="$here/certificates.pem"
fi
if ls "$here"/wheels/*.whl >/dev/null 2>&1; then
    export UV_FIND_LINKS="$here/wheels${UV_FIND_LINKS:+,$UV_FIND_LINKS}"
fi
export UV_NO_PROGRESS=1 UV_PYTHON_DOWNLOADS=never UV_LINK_MODE=copy
# One for each Python: a wheel that was built from source by another one has other metadata.
export UV_CACHE_DIR="$here/cache/uv-$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')"

# compile_below PATH_NAME [OPTION]: purelib or stdlib, as Python's sysconfig calls it
compile_below() {
    place=$(/opt/env/bin/python -c "import sysconfig; print(sysconfig.get_path('$1'))")
    shift
    /opt/env/bin/python "$here/compile.py" "$place" "$here/cache/pyc" "$@"
}

if [ -z "$lock" ]; then
    "$here/uv" --no-config venv --quiet --no-project --python "$(command -v python3)" /opt/env
    # A job can never store the .pyc files of Python's own library either.
    compile_below stdlib --base
    exit 0
fi
[ -s "$lock" ] || exit 0

# What builds an old source package must be of its time too.
as_of=$(sed -n "s/^#: as_of: '\(.*\)'\$/\1/p" "$lock")
"$here/uv" --no-config pip install --quiet --python /opt/env/bin/python \
    --no-deps --require-hashes --exclude-newer "${as_of}T00:00:00Z" -r "$lock"
compile_below purelib
# The driver holds this against the lock.
"$here/uv" --no-config pip list --quiet --python /opt/env/bin/python --format json >/opt/env/installed.json
rm -f /opt/env/.lock
