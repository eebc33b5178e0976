/* What both load generators share: options, prepared requests, time, latencies, the result.
 *
 * Options are NAME=VALUE. A file of requests holds each behind its length (4 octets,
 * little-endian); they are sent in turn and from the start again. Times are seconds of the
 * monotonic clock. The result is one JSON object on standard output.
 */
#ifndef SALTERN_LOAD_H
#define SALTERN_LOAD_H
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { SLOTS = 2000000 }; /* a slot of latency is one microsecond */

/* ---- ends with a word ---- */

static inline void fail(const char *what) {
    fprintf(stderr, "load: %s%s%s\n", what, errno ? ": " : "", errno ? strerror(errno) : "");
    exit(1);
}

/* ---- options ---- */

struct options {
    const char *protocol, *file, *source;
    double port, connections, depth, rate; /* rate: requests a second whatever comes back; 0: closed loop */
    double warm_ms, measure_ms, count;     /* count: ends after so many answers in all; 0: by time only */
    double pid, also; /* of the server, and of another process of it: their processor time is read; 0: none */
    double tolerant; /* 1: refusals and closed connections are counted, and it goes on */
};

static inline struct options read_options(int count, char **arguments) {
    struct options o = {.protocol = "http", .source = "127.0.0.1", .connections = 1, .depth = 1};
    const struct {
        const char *name, **text;
        double *number;
    } known[] = {
        {"protocol", &o.protocol, NULL}, {"file", &o.file, NULL},          {"source", &o.source, NULL},
        {"port", NULL, &o.port},         {"connections", NULL, &o.connections}, {"depth", NULL, &o.depth},
        {"rate", NULL, &o.rate},         {"warm_ms", NULL, &o.warm_ms},    {"measure_ms", NULL, &o.measure_ms},
        {"count", NULL, &o.count},       {"pid", NULL, &o.pid},            {"also", NULL, &o.also},
        {"tolerant", NULL, &o.tolerant},
    };
    for (int i = 1; i < count; i++) {
        size_t length = strcspn(arguments[i], "="), k = 0, all = sizeof known / sizeof *known;
        while (k < all && (strlen(known[k].name) != length || strncmp(arguments[i], known[k].name, length))) k++;
        if (k == all || !arguments[i][length]) fail("an unknown option");
        if (known[k].text) *known[k].text = arguments[i] + length + 1;
        else *known[k].number = atof(arguments[i] + length + 1);
    }
    if (!o.file || !o.port) fail("port= and file= are needed");
    return o;
}

/* ---- protocols: where ids, lengths and codes stand ---- */

struct protocol {
    const char *name;
    size_t id_at, id_bytes;     /* of the request id, in requests and answers; 0 octets: there is none */
    size_t head_bytes;          /* so many octets of an answer tell its length and how it ended */
    size_t length_at, length_bytes, length_behind; /* big-endian; counts what stands behind this offset */
    size_t code_at, code_bytes; /* big-endian */
    uint32_t code_mask, code_success;
};

static const struct protocol protocols[] = {
    /* 8: id; 16: length of what follows the envelope of 20; 24: response code */
    {"handle", 8, 4, 28, 16, 4, 20, 24, 4, 0xFFFFFFFF, 1},
    {"dns-udp", 0, 2, 12, 0, 0, 0, 3, 1, 0x0F, 0},
    {"dns-tcp", 2, 2, 14, 0, 2, 2, 5, 1, 0x0F, 0},
    {"http", 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
};

static inline const struct protocol *find_protocol(const char *name) {
    for (size_t i = 0; i < sizeof protocols / sizeof *protocols; i++)
        if (!strcmp(protocols[i].name, name)) return &protocols[i];
    fail("an unknown protocol");
    return NULL;
}

static inline uint32_t get_number(const uint8_t *at, size_t octets) {
    uint32_t number = 0;
    for (size_t i = 0; i < octets; i++) number = number << 8 | at[i];
    return number;
}

static inline void put_number(uint8_t *at, size_t octets, uint32_t number) {
    for (size_t i = octets; i-- > 0; number >>= 8) at[i] = (uint8_t)number;
}

static inline int is_success(const struct protocol *p, const uint8_t *answer) {
    return (get_number(answer + p->code_at, p->code_bytes) & p->code_mask) == p->code_success;
}

/* ---- prepared requests ---- */

struct requests {
    const uint8_t *begin, *end, *next;
};

static inline struct requests map_requests(const char *path) {
    struct stat about;
    int file = open(path, O_RDONLY);
    if (file < 0 || fstat(file, &about) || about.st_size < 4) fail(path);
    const uint8_t *begin = mmap(NULL, (size_t)about.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, file, 0);
    if (begin == MAP_FAILED) fail("mmap");
    close(file);
    return (struct requests){begin, begin + about.st_size, begin};
}

static inline const uint8_t *next_request(struct requests *all, uint32_t *size) {
    if (all->next == all->end) all->next = all->begin;
    memcpy(size, all->next, 4);
    const uint8_t *request = all->next + 4;
    all->next = request + *size;
    if (all->next > all->end) fail("the file of requests is cut short");
    return request;
}

/* ---- time ---- */

static inline double now_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Processor seconds of a process; fields 14 and 15 after the name in brackets. */
static inline double process_s(int pid) {
    char path[64], line[1024];
    unsigned long user = 0, system = 0;
    if (pid == 0) return 0;
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *file = fopen(path, "r");
    if (!file) fail(path);
    size_t size = fread(line, 1, sizeof line - 1, file);
    fclose(file);
    line[size] = 0;
    char *rest = strrchr(line, ')');
    if (!rest || sscanf(rest + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) != 2)
        fail("cannot read /proc/PID/stat");
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

static inline double own_s(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)usage.ru_utime.tv_sec + (double)usage.ru_stime.tv_sec +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/* ---- histograms ---- */

struct histogram {
    uint32_t *slots;
    uint64_t count;
};

static inline void record(struct histogram *h, double seconds) {
    double slot = seconds * 1e6;
    h->slots[slot < 0 ? 0 : slot < SLOTS - 1 ? (int)slot : SLOTS - 1]++;
    h->count++;
}

static inline double quantile_us(const struct histogram *h, double share) {
    uint64_t below = 0;
    for (int slot = 0; slot < SLOTS; slot++) {
        below += h->slots[slot];
        if ((double)below >= share * (double)h->count) return slot;
    }
    return SLOTS;
}

/* ---- a run: warming up, measuring, the result ---- */

struct run {
    double began, began_cpu, began_own, warm_s, measure_s, now;
    int pid, also, warm;
    uint64_t stop_at, total;                   /* total: answers, those of the warming up included */
    uint64_t responses, refused, lost, closed; /* lost: no answer came; closed: connections that the server ended */
    struct histogram latency, lateness;        /* lateness: from the intended to the real time of sending */
};

static inline void empty_counters(struct run *r) {
    r->responses = r->refused = r->lost = r->closed = r->latency.count = r->lateness.count = 0;
    memset(r->latency.slots, 0, SLOTS * sizeof *r->latency.slots);
    memset(r->lateness.slots, 0, SLOTS * sizeof *r->lateness.slots);
    r->began_cpu = process_s(r->pid) + process_s(r->also);
    r->began_own = own_s();
    r->began = r->now = now_s();
}

static inline struct run begin_run(const struct options *o) {
    struct run r = {.warm_s = o->warm_ms / 1e3, .measure_s = o->measure_ms / 1e3, .pid = (int)o->pid, .also = (int)o->also,
                    .stop_at = (uint64_t)o->count, .warm = o->warm_ms <= 0};
    r.latency.slots = calloc(SLOTS, sizeof *r.latency.slots);
    r.lateness.slots = calloc(SLOTS, sizeof *r.lateness.slots);
    if (!r.latency.slots || !r.lateness.slots) fail("no memory");
    prctl(PR_SET_TIMERSLACK, 1UL);
    empty_counters(&r);
    errno = 0;
    return r;
}

static inline int has_all(const struct run *r) { return r->stop_at && r->total >= r->stop_at; }

/* Reads the clock; empties the counters when the warming up is over. Returns whether the run has ended. */
static inline int is_over(struct run *r) {
    r->now = now_s();
    if (!r->warm && r->now - r->began >= r->warm_s) {
        r->warm = 1;
        empty_counters(r);
    }
    return has_all(r) || (r->warm && r->now - r->began >= r->measure_s);
}

static inline void answered(struct run *r, double since, int success) {
    record(&r->latency, now_s() - since);
    r->responses++;
    r->total++;
    if (!success) r->refused++;
}

static inline void print_result(const struct run *r) {
    double seconds = r->now - r->began;
    printf("{\"responses\": %llu, \"refused\": %llu, \"lost\": %llu, \"closed\": %llu, \"seconds\": %.4f, "
           "\"per_s\": %.1f, \"p50_us\": %.0f, \"p95_us\": %.0f, \"p99_us\": %.0f, \"late_p99_us\": %.0f, "
           "\"server_cpu\": %.4f, \"own_cpu\": %.4f}\n",
           (unsigned long long)r->responses, (unsigned long long)r->refused, (unsigned long long)r->lost,
           (unsigned long long)r->closed, seconds, (double)r->responses / seconds, quantile_us(&r->latency, 0.5),
           quantile_us(&r->latency, 0.95), quantile_us(&r->latency, 0.99), quantile_us(&r->lateness, 0.99),
           (process_s(r->pid) + process_s(r->also) - r->began_cpu) / seconds, (own_s() - r->began_own) / seconds);
}

/* ---- when to send, at a fixed rate ---- */

static const double WAIT_S = 0.01;

struct schedule {
    double first, period;
    uint64_t sent;
};

static inline double due_s(const struct schedule *s) { return s->first + (double)s->sent * s->period; }

/* Sleeps until something can be read, the next request is due, or 10 ms are over. */
static inline void wait_for(int descriptor, const struct schedule *s) {
    double left = s->period > 0 ? due_s(s) - now_s() : WAIT_S;
    if (left <= 0) return;
    struct timespec most = {0, (long)((left < WAIT_S ? left : WAIT_S) * 1e9)};
    struct pollfd wanted = {.fd = descriptor, .events = POLLIN};
    ppoll(&wanted, 1, &most, NULL);
    errno = 0;
}

static inline struct sockaddr_in address_of(const char *text, int port) {
    struct sockaddr_in place = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    if (inet_pton(AF_INET, text, &place.sin_addr) != 1) fail("no IPv4 address");
    return place;
}
#endif
