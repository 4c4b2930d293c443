# What E2B's clients expect of a template: the user `user` with a home, who may become root without
# a password and install things below /usr/local. What is there already stays; what the image has
# no program for is left out.
set -u
if ! id user >/dev/null 2>&1; then
    if command -v useradd >/dev/null 2>&1; then
        shell=/bin/sh
        [ -x /bin/bash ] && shell=/bin/bash
        useradd --create-home --shell "$shell" user || exit 1
    elif command -v adduser >/dev/null 2>&1; then
        adduser -D user || exit 1
    else
        grep -q '^user:' /etc/group 2>/dev/null || echo 'user:x:1000:' >>/etc/group || exit 1
        echo 'user:x:1000:1000::/home/user:/bin/sh' >>/etc/passwd || exit 1
    fi
fi
if [ ! -d /home/user ]; then
    mkdir -p /home/user || exit 1
    if [ -d /etc/skel ]; then cp -R /etc/skel/. /home/user/ || exit 1; fi
    chown -Rh user: /home/user || exit 1
fi
for group in sudo wheel; do
    if grep -q "^$group:" /etc/group && command -v usermod >/dev/null 2>&1; then
        usermod -aG "$group" user
        break
    fi
done
if [ -d /etc/sudoers.d ]; then
    echo 'user ALL=(ALL:ALL) NOPASSWD: ALL' >/etc/sudoers.d/90-user
    chmod 0440 /etc/sudoers.d/90-user
fi
mkdir -p /code /usr/local && chmod 0777 /code
# Folders only: to replace a file one needs to write its folder, and nothing is copied for it.
if command -v find >/dev/null 2>&1; then
    find /usr/local -type d -exec chmod a+rwx {} +
fi
exit 0
