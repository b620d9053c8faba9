#!/usr/bin/env bash
# Run the tests with the Python and the RabbitMQ of Debian's unstable suite, in a tree of its own beside this system:
# once as Debian configures RabbitMQ, and once as strict as its makers do.
#
#   make matrix                                      everything, twice; this takes a while
#   make matrix TEST_ARGS="-n 2 tests/without_broker tests/course"
#   make matrix MODES=strict
#
# It needs Linux, root, debootstrap, git, 3 GB of disk and the internet. The tree stays, to be used again, in TREE,
# /var/tmp/rpclab-matrix if not given; `rm -rf --one-file-system` removes it. It is no part of `make test` or of CI.
set -eu -o pipefail

TREE=${TREE:-/var/tmp/rpclab-matrix}
MODES=${MODES:-permissive strict}
PACKAGES=rabbitmq-server,python3-venv,make,git,procps,ca-certificates
PLACE=/srv/rpclab

missing() {
	echo "make matrix: $1" >&2
	exit 2
}

[ "$(id -u)" = 0 ] || missing "it changes its root directory and mounts file systems, so it needs root: sudo make matrix"
for tool in debootstrap git unshare chroot; do
	command -v "$tool" > /dev/null || missing "$tool is missing: apt-get install debootstrap git util-linux coreutils"
done

if [ "${1:-}" != inside ]; then
	if [ ! -e "$TREE/etc/rpclab-matrix" ]; then
		debootstrap --variant=minbase "--include=$PACKAGES" sid "$TREE"
		touch "$TREE/etc/rpclab-matrix"
	fi
	mkdir -p "$TREE$PLACE"
	find "$TREE$PLACE" -mindepth 1 -maxdepth 1 ! -name .venv -exec rm -rf {} +
	git ls-files -z --cached --others --exclude-standard --deduplicate |
		xargs -0 sh -c 'for file; do [ -e "$file" ] && printf "%s\0" "$file"; done' sh |
		tar --create --null --files-from=- | tar --extract --directory "$TREE$PLACE"
	# What is mounted and started in there ends with it.
	exec unshare --mount --pid --fork --kill-child --propagation private "$0" inside
fi

mount -t proc proc "$TREE/proc"
mount --rbind /dev "$TREE/dev"
mount -t tmpfs tmpfs "$TREE/dev/shm"
# Without it, the `!` cells of the notebooks run out of pty devices.
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$TREE/dev/pts"
mount --bind "$TREE/dev/pts/ptmx" "$TREE/dev/ptmx"
status=0
for mode in $MODES; do
	settings=(PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 TEST_ARGS="${TEST_ARGS:-}")
	[ "$mode" = permissive ] || settings+=(RPCLAB_NODE_CONFIG="$PLACE/tests/$mode.conf")
	echo "== $mode: $(chroot "$TREE" python3 -V), RabbitMQ $(chroot "$TREE" dpkg-query -W -f '${Version}' rabbitmq-server)"
	env -u RPCLAB_HOME -u RPCLAB_BROKER "${settings[@]}" chroot "$TREE" make --directory "$PLACE" test || status=$?
done
exit "$status"
