/*
 * Tries one way out of a sandbox after the other and says what the kernel answered. Nothing here
 * would change the host if it were let through: each call asks for what is there already.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* What refuses says that it may not be done, or that there is no such call. */
static void told(const char *what, long result) {
    int code = result < 0 ? errno : 0;
    int refused = code == EPERM || code == EACCES || code == ENOSYS;
    printf("%s %s (%s)\n", refused ? "refused" : "OPEN", what, result < 0 ? strerror(code) : "done");
    fflush(stdout);
}

static void in_child(const char *what, long (*attempt)(void)) {
    pid_t pid = fork();
    if (pid == 0) {
        told(what, attempt());
        _exit(0);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    if (WIFSIGNALED(status)) printf("refused %s (signal %d)\n", what, WTERMSIG(status));
    fflush(stdout);
}

static long join(const char *ns) {
    int fd = open(ns, O_RDONLY);
    if (fd < 0) { errno = EACCES; return -1; }
    return setns(fd, 0);
}

static long mount_tmpfs(void) { return mount("none", "/tmp", "tmpfs", 0, ""); }
static long mount_proc(void) { return mount("proc", "/tmp", "proc", 0, ""); }
static long mount_bind(void) { return mount("/", "/tmp", NULL, MS_BIND | MS_REC, NULL); }
static long mount_remount(void) { return mount(NULL, "/proc/sys", NULL, MS_REMOUNT | MS_BIND, NULL); }
static long unmount(void) { return umount2("/proc/sys", MNT_DETACH); }
static long new_mount_api(void) { return syscall(SYS_fsopen, "tmpfs", 0); }
static long open_tree_clone(void) { return syscall(428, AT_FDCWD, "/", 1 /* OPEN_TREE_CLONE */); }
static long new_user(void) { return unshare(CLONE_NEWUSER); }
static long new_mount_ns(void) { return unshare(CLONE_NEWNS); }
static long new_net_ns(void) { return unshare(CLONE_NEWNET); }
static long clone_user(void) { return syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0); }
static long clone3_user(void) {
    unsigned long long args[11] = { CLONE_NEWUSER, 0, 0, 0, SIGCHLD };
    return syscall(435, args, sizeof args);
}
static long join_mnt(void) { return join("/proc/1/ns/mnt"); }
static long join_net(void) { return join("/proc/1/ns/net"); }
static long join_user(void) { return join("/proc/1/ns/user"); }
static long by_handle(void) {
    struct { unsigned bytes; int type; unsigned ino, gen; } handle = { 8, 1, 2, 0 };
    return syscall(SYS_open_by_handle_at, AT_FDCWD, &handle, O_RDONLY);
}
static long kexec(void) { return syscall(SYS_kexec_load, 0, 0, NULL, 0); }
static long module(void) { return syscall(SYS_init_module, "", 0, ""); }
static long bpf_load(void) { return syscall(SYS_bpf, 5 /* BPF_PROG_LOAD */, NULL, 0); }
static long perf(void) { return syscall(SYS_perf_event_open, NULL, 0, -1, -1, 0); }
static long fault(void) { return syscall(SYS_userfaultfd, O_CLOEXEC); }
static long keys(void) { return syscall(SYS_keyctl, 0 /* KEYCTL_GET_KEYRING_ID */, -4, 0); }
static long ring(void) { return syscall(425, 1, NULL); }
static long kernel_log(void) { char text[64]; return syscall(SYS_syslog, 3, text, sizeof text); }
static long swap(void) { return syscall(SYS_swapon, "/nowhere", 0); }
static long accounting(void) { return syscall(SYS_acct, NULL); }
static long restart(void) { return reboot(RB_DISABLE_CAD); }
static long set_time(void) {
    struct timeval now;
    gettimeofday(&now, NULL);
    return settimeofday(&now, NULL);
}
static long new_root(void) { return syscall(SYS_pivot_root, "/", "/"); }
static long vsock(void) { return socket(40, SOCK_STREAM, 0); }
static long trace_init(void) { return ptrace(PTRACE_ATTACH, 1, 0, 0); }
static long read_init(void) {
    char here[8];
    struct iovec local = { here, 8 }, remote = { (void *)0x400000, 8 };
    long result = process_vm_readv(1, &local, 1, &remote, 1, 0);
    if (result < 0 && errno == EFAULT) return 0; /* it was let through, there is only nothing there */
    return result;
}
static long type_ahead(void) {
    int fd = open("/dev/tty", O_RDWR);
    if (fd < 0) fd = open("/dev/ptmx", O_RDWR);
    return ioctl(fd, 0x5412 /* TIOCSTI */, "x");
}
/* A device of the host's: made and opened, or either refused. */
static long device(mode_t kind, unsigned major_, unsigned minor_) {
    const char *path = "/tmp/device";
    unlink(path);
    if (mknod(path, kind | 0600, makedev(major_, minor_)) < 0) return -1;
    int fd = open(path, O_RDONLY);
    int code = errno;
    unlink(path);
    errno = code;
    return fd;
}
static long loop_device(void) { return device(S_IFBLK, 7, 0); }
static long disk_device(void) {
    struct stat about;
    stat("/", &about);
    return device(S_IFBLK, 8, 0) < 0 ? device(S_IFBLK, 254, 0) : 0;
}
static long memory_device(void) { return device(S_IFCHR, 1, 1); }
static long kmsg_device(void) { return device(S_IFCHR, 1, 11); }
#ifdef SYS_iopl
static long io_ports(void) { return syscall(SYS_iopl, 3); }
#endif

static const struct { const char *name; long (*attempt)(void); } WAYS[] = {
    { "mount a tmpfs", mount_tmpfs },
    { "mount proc", mount_proc },
    { "bind mount", mount_bind },
    { "remount /proc/sys writable", mount_remount },
    { "unmount /proc/sys", unmount },
    { "fsopen", new_mount_api },
    { "open_tree", open_tree_clone },
    { "pivot_root", new_root },
    { "unshare a user namespace", new_user },
    { "unshare a mount namespace", new_mount_ns },
    { "unshare a network namespace", new_net_ns },
    { "clone with a user namespace", clone_user },
    { "clone3 with a user namespace", clone3_user },
    { "setns to the mounts of PID 1", join_mnt },
    { "setns to the network of PID 1", join_net },
    { "setns to the users of PID 1", join_user },
    { "open_by_handle_at", by_handle },
    { "kexec_load", kexec },
    { "init_module", module },
    { "bpf", bpf_load },
    { "perf_event_open", perf },
    { "userfaultfd", fault },
    { "keyctl", keys },
    { "io_uring_setup", ring },
    { "syslog", kernel_log },
    { "swapon", swap },
    { "acct", accounting },
    { "reboot", restart },
    { "settimeofday", set_time },
    { "a socket to the hypervisor", vsock },
    { "TIOCSTI", type_ahead },
    { "a loop device", loop_device },
    { "a disk", disk_device },
    { "/dev/mem", memory_device },
    { "/dev/kmsg", kmsg_device },
    { "ptrace of PID 1", trace_init },
    { "memory of PID 1", read_init },
#ifdef SYS_iopl
    { "iopl", io_ports },
#endif
};

/* chroot(2)'s man page: whoever keeps a descriptor of the old root walks out of the new one. */
static int walk_out(const char *marker) {
    mkdir("/tmp/jail", 0755);
    int old = open("/", O_RDONLY | O_DIRECTORY);
    if (old < 0 || chroot("/tmp/jail") < 0 || fchdir(old) < 0) return puts("refused chroot") < 0;
    for (int up = 0; up < 64; up++)
        if (chdir("..") < 0) break;
    if (chroot(".") < 0) return puts("refused chroot") < 0;
    return puts(access(marker, F_OK) == 0 ? "OPEN chroot: the host's files" : "refused chroot") < 0;
}

/* The host's abstract sockets have no place in any filesystem. */
static int abstract(const char *name) {
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    strncpy(to.sun_path + 1, name, sizeof to.sun_path - 2);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    socklen_t size = offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name);
    int done = connect(fd, (struct sockaddr *)&to, size);
    return printf("%s abstract socket (%s)\n", done < 0 ? "refused" : "OPEN", strerror(errno)) < 0;
}

/* Opens files until it can't. */
static int open_many(void) {
    struct rlimit most;
    getrlimit(RLIMIT_NOFILE, &most);
    most.rlim_cur = most.rlim_max;
    setrlimit(RLIMIT_NOFILE, &most);
    long count = 0;
    while (open("/dev/null", O_RDONLY) >= 0) count++;
    printf("%ld files, then: %s\n", count, strerror(errno));
    fflush(stdout);
    pause();
    return 0;
}

int main(int count, char **words) {
    if (count == 3 && !strcmp(words[1], "chroot")) return walk_out(words[2]);
    if (count == 3 && !strcmp(words[1], "abstract")) return abstract(words[2]);
    if (count == 2 && !strcmp(words[1], "files")) return open_many();
    for (size_t way = 0; way < sizeof WAYS / sizeof *WAYS; way++)
        in_child(WAYS[way].name, WAYS[way].attempt);
    puts("all tried");
    return 0;
}
