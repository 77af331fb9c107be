/* Preloaded into a server whose instructions are counted, so that every run executes the same ones: time passes by
   turns of the event loop instead of by a clock, and random numbers come from the file $HOLDFAST_SEED. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define NS_A_S INT64_C(1000000000)
#define NS_A_MS INT64_C(1000000)

/* About what a pipeline of 64 takes without valgrind. */
#define NS_A_TURN INT64_C(125000)

/* Any time does, as long as it is past the year 2000. */
static int64_t now_ns = 1700000000 * NS_A_S;

int clock_gettime(clockid_t clock, struct timespec *time) {
    (void)clock;
    time->tv_sec = now_ns / NS_A_S;
    time->tv_nsec = now_ns % NS_A_S;
    return 0;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone) {
    (void)zone;
    time->tv_sec = now_ns / NS_A_S;
    time->tv_usec = now_ns % NS_A_S / 1000;
    return 0;
}

time_t time(time_t *result) {
    time_t now = now_ns / NS_A_S;
    if (result) *result = now;
    return now;
}

int epoll_wait(int file, struct epoll_event *events, int most, int timeout_ms) {
    int ready = (int)syscall(SYS_epoll_pwait, file, events, most, timeout_ms, NULL, 0);
    now_ns += ready == 0 && timeout_ms > 0 ? timeout_ms * NS_A_MS : NS_A_TURN;
    return ready;
}

/* The module's alarm would go by the real clock. Nothing is due in what is measured. */
int timerfd_settime(int file, int flags, const struct itimerspec *value, struct itimerspec *old) {
    (void)file, (void)flags, (void)value, (void)old;
    return 0;
}

static FILE *open_seed(const char *function, const char *path, const char *mode) {
    FILE *(*original)(const char *, const char *);
    *(void **)&original = dlsym(RTLD_NEXT, function);
    const char *seed = getenv("HOLDFAST_SEED");
    return original(seed && !strcmp(path, "/dev/urandom") ? seed : path, mode);
}

FILE *fopen(const char *path, const char *mode) {
    return open_seed("fopen", path, mode);
}

FILE *fopen64(const char *path, const char *mode) {
    return open_seed("fopen64", path, mode);
}

ssize_t getrandom(void *buffer, size_t size, unsigned flags) {
    (void)flags;
    memset(buffer, 1, size);
    return (ssize_t)size;
}
