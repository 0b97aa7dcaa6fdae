/* Counts the calls that change files under one folder, and kills the process before the n-th, or in the middle of it.
 *
 *     cc -shared -fPIC -O1 -o boundaries.so boundaries.c -ldl ; LD_PRELOAD=./boundaries.so ...
 *
 * boundary_arm(folder, n, torn): from now on, kill before the n-th call (0: only count); torn: let half of a write
 * through first, and count only calls that carry bytes. boundary_seen(): how many there were. Whoever calls (Python, SQLite, Chroma) goes through libc. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static char root[PATH_MAX];
static long fatal, seen;
static int half, armed;

void boundary_arm(const char *folder, long n, int torn) {
    strncpy(root, folder, sizeof root - 1);
    fatal = n, half = torn, seen = 0, armed = 1;
}

long boundary_seen(void) { return seen; }

static void die(void) {
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

static int counted(const char *path) {
    if (!armed || strncmp(path, root, strlen(root))) return 0;
    return __sync_add_and_fetch(&seen, 1) == fatal;
}

static int counted_fd(int fd) {
    char link[64], path[PATH_MAX];
    if (!armed) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return counted(path);
}

static int counted_at(int fd, const char *path) {
    return path[0] == '/' || fd == AT_FDCWD ? counted(path) : counted_fd(fd);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define BEFORE(when) if (!half && (when)) die()

/* Half of what is left to be copied out of a file, at most n. */
static size_t half_of(int in, const off64_t *at, size_t n) {
    struct stat file;
    if (fstat(in, &file)) return 0;
    off64_t left = file.st_size - (at ? *at : lseek(in, 0, SEEK_CUR));
    return (left < 0 ? 0 : (size_t)left < n ? (size_t)left : n) / 2;
}

ssize_t write(int fd, const void *data, size_t n) {
    if (counted_fd(fd)) { if (half) REAL(write)(fd, data, n / 2); die(); }
    return REAL(write)(fd, data, n);
}
ssize_t pwrite(int fd, const void *data, size_t n, off_t at) {
    if (counted_fd(fd)) { if (half) REAL(pwrite)(fd, data, n / 2, at); die(); }
    return REAL(pwrite)(fd, data, n, at);
}
ssize_t pwrite64(int fd, const void *data, size_t n, off64_t at) {
    if (counted_fd(fd)) { if (half) REAL(pwrite64)(fd, data, n / 2, at); die(); }
    return REAL(pwrite64)(fd, data, n, at);
}
ssize_t writev(int fd, const struct iovec *v, int n) {
    if (counted_fd(fd)) { if (half) REAL(writev)(fd, v, n / 2); die(); }
    return REAL(writev)(fd, v, n);
}
ssize_t sendfile64(int out, int in, off64_t *at, size_t n) {
    if (counted_fd(out)) { if (half) REAL(sendfile64)(out, in, at, half_of(in, at, n)); die(); }
    return REAL(sendfile64)(out, in, at, n);
}
ssize_t copy_file_range(int in, off64_t *a, int out, off64_t *b, size_t n, unsigned f) {
    if (counted_fd(out)) { if (half) REAL(copy_file_range)(in, a, out, b, half_of(in, a, n), f); die(); }
    return REAL(copy_file_range)(in, a, out, b, n, f);
}
int fsync(int fd) { BEFORE(counted_fd(fd)); return REAL(fsync)(fd); }
int fdatasync(int fd) { BEFORE(counted_fd(fd)); return REAL(fdatasync)(fd); }
int ftruncate(int fd, off_t n) { BEFORE(counted_fd(fd)); return REAL(ftruncate)(fd, n); }
int ftruncate64(int fd, off64_t n) { BEFORE(counted_fd(fd)); return REAL(ftruncate64)(fd, n); }
int rename(const char *a, const char *b) { BEFORE(counted(b)); return REAL(rename)(a, b); }
int renameat(int a, const char *b, int c, const char *d) { BEFORE(counted_at(c, d)); return REAL(renameat)(a, b, c, d); }
int unlink(const char *path) { BEFORE(counted(path)); return REAL(unlink)(path); }
int unlinkat(int fd, const char *path, int f) { BEFORE(counted_at(fd, path)); return REAL(unlinkat)(fd, path, f); }
int rmdir(const char *path) { BEFORE(counted(path)); return REAL(rmdir)(path); }
int mkdir(const char *path, mode_t mode) { BEFORE(counted(path)); return REAL(mkdir)(path, mode); }
int mkdirat(int fd, const char *path, mode_t mode) { BEFORE(counted_at(fd, path)); return REAL(mkdirat)(fd, path, mode); }

#define MODE va_list rest; va_start(rest, flags); mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0; va_end(rest)
#define MAKES (flags & (O_CREAT | O_TRUNC))

int open(const char *path, int flags, ...) { MODE; BEFORE(MAKES && counted(path)); return REAL(open)(path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE; BEFORE(MAKES && counted(path)); return REAL(open64)(path, flags, mode); }
int openat(int fd, const char *path, int flags, ...) { MODE; BEFORE(MAKES && counted_at(fd, path)); return REAL(openat)(fd, path, flags, mode); }
int openat64(int fd, const char *path, int flags, ...) { MODE; BEFORE(MAKES && counted_at(fd, path)); return REAL(openat64)(fd, path, flags, mode); }
