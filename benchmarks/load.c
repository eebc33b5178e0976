/* Load generator: N connections over HTTP/1.1 keep-alive, one request in flight on each.
 *
 *   load PORT CONNECTIONS WARM_MS MEASURE_MS COUNT FILE [PID]
 *
 * FILE holds prepared requests, each behind its length (4 octets, little-endian); they are
 * sent in turn and from the start again. After WARM_MS the counters are emptied. The run
 * ends after MEASURE_MS, or after COUNT responses in all where COUNT is not 0. A response
 * is complete by its Content-Length. PID: a process whose processor time (utime + stime of
 * /proc/PID/stat) is read at both ends of the measured time.
 *
 * Prints one JSON object. Exit code 1 with a word on standard error if anything but
 * HTTP with a Content-Length comes back.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { BUFFER = 65536, SLOTS = 2000000 }; /* a slot of latency is one microsecond */

struct connection {
    int socket;
    const uint8_t *request;
    uint32_t request_left;
    size_t received;
    size_t expected; /* octets of the whole response, 0 while its head is not complete */
    double sent_at;
    char buffer[BUFFER];
};

static const uint8_t *requests, *requests_end, *next_request;
static uint32_t *latencies;
static uint64_t responses, refused, total;

static void fail(const char *what) {
    fprintf(stderr, "load: %s%s%s\n", what, errno ? ": " : "", errno ? strerror(errno) : "");
    exit(1);
}

static double now_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Processor seconds of a process; fields 14 and 15 after the name in brackets. */
static double process_s(int pid) {
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

static double own_s(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)usage.ru_utime.tv_sec + (double)usage.ru_stime.tv_sec +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void flush_request(struct connection *c) {
    while (c->request_left) {
        ssize_t sent = send(c->socket, c->request, c->request_left, MSG_NOSIGNAL);
        if (sent < 0 && errno == EAGAIN) return;
        if (sent <= 0) fail("cannot send");
        c->request += sent;
        c->request_left -= (uint32_t)sent;
    }
}

static void begin(struct connection *c) {
    if (next_request == requests_end) next_request = requests;
    memcpy(&c->request_left, next_request, 4);
    c->request = next_request + 4;
    next_request = c->request + c->request_left;
    if (next_request > requests_end) fail("the file of requests is cut short");
    c->received = c->expected = 0;
    c->sent_at = now_s();
    flush_request(c);
}

static void read_head(struct connection *c) {
    c->buffer[c->received] = 0;
    char *end = strstr(c->buffer, "\r\n\r\n");
    if (!end) {
        if (c->received == BUFFER - 1) fail("a head is too long");
        return;
    }
    if (strncmp(c->buffer, "HTTP/1.1 ", 9)) fail("no HTTP/1.1 response");
    char *length = strcasestr(c->buffer, "\r\nContent-Length:");
    if (!length || length > end) fail("a response without Content-Length");
    c->expected = (size_t)(end - c->buffer) + 4 + strtoul(length + 17, NULL, 10);
    if (c->buffer[9] != '2') refused++;
}

/* Returns whether the response is complete. Of a body only the length matters. */
static int receive(struct connection *c) {
    for (;;) {
        size_t at = c->expected ? 0 : c->received;
        ssize_t got = recv(c->socket, c->buffer + at, BUFFER - 1 - at, 0);
        if (got < 0 && errno == EAGAIN) return 0;
        if (got < 0) fail("cannot receive");
        if (got == 0) fail("the server closed a connection");
        c->received += (size_t)got;
        if (!c->expected) read_head(c);
        if (c->expected && c->received >= c->expected) {
            if (c->received > c->expected) fail("octets after a response");
            return 1;
        }
    }
}

static double quantile_us(double share) {
    uint64_t below = 0;
    for (int slot = 0; slot < SLOTS; slot++) {
        below += latencies[slot];
        if ((double)below >= share * (double)responses) return slot;
    }
    return SLOTS;
}

static struct connection *open_connections(int port, int count, int poll) {
    struct connection *all = calloc((size_t)count, sizeof *all);
    struct sockaddr_in place = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int one = 1;
    place.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (int i = 0; i < count; i++) {
        struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = &all[i]};
        all[i].socket = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(all[i].socket, (struct sockaddr *)&place, sizeof place)) fail("cannot connect");
        setsockopt(all[i].socket, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        fcntl(all[i].socket, F_SETFL, O_NONBLOCK);
        if (epoll_ctl(poll, EPOLL_CTL_ADD, all[i].socket, &event)) fail("epoll_ctl");
    }
    return all;
}

static void map_requests(const char *path) {
    struct stat about;
    int file = open(path, O_RDONLY);
    if (file < 0 || fstat(file, &about) || about.st_size < 4) fail(path);
    requests = mmap(NULL, (size_t)about.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, file, 0);
    if (requests == MAP_FAILED) fail("mmap");
    requests_end = requests + about.st_size;
    next_request = requests;
}

int main(int count, char **arguments) {
    if (count < 7) {
        fprintf(stderr, "load PORT CONNECTIONS WARM_MS MEASURE_MS COUNT FILE [PID]\n");
        return 2;
    }
    int connections = atoi(arguments[2]), pid = count > 7 ? atoi(arguments[7]) : 0;
    double warm_s = atof(arguments[3]) / 1e3, measure_s = atof(arguments[4]) / 1e3;
    uint64_t stop_at = strtoull(arguments[5], NULL, 10);
    map_requests(arguments[6]);
    latencies = calloc(SLOTS, sizeof *latencies);
    int poll = epoll_create1(0);
    struct connection *all = open_connections(atoi(arguments[1]), connections, poll);
    struct epoll_event events[256];
    double began = now_s(), began_cpu = process_s(pid), began_own = own_s(), now = began;
    int warm = warm_s <= 0;
    errno = 0;
    for (int i = 0; i < connections; i++) begin(&all[i]);
    for (;;) {
        int ready = epoll_wait(poll, events, 256, 1000);
        now = now_s();
        if (!warm && now - began >= warm_s) {
            warm = 1;
            memset(latencies, 0, SLOTS * sizeof *latencies);
            responses = refused = 0;
            began = now = now_s();
            began_cpu = process_s(pid);
            began_own = own_s();
        }
        if (warm && (now - began >= measure_s || (stop_at && total >= stop_at))) break;
        for (int i = 0; i < ready; i++) {
            struct connection *c = events[i].data.ptr;
            if (c->request_left) flush_request(c);
            if (!(events[i].events & EPOLLIN)) continue;
            while (receive(c)) {
                double slot = (now_s() - c->sent_at) * 1e6;
                latencies[slot < SLOTS - 1 ? (int)slot : SLOTS - 1]++;
                responses++;
                total++;
                if (stop_at && total >= stop_at) break;
                begin(c);
            }
        }
    }
    double seconds = now - began;
    printf("{\"responses\": %llu, \"refused\": %llu, \"seconds\": %.4f, \"per_s\": %.1f, \"p50_us\": %.0f, "
           "\"p99_us\": %.0f, \"server_cpu\": %.4f, \"own_cpu\": %.4f}\n",
           (unsigned long long)responses, (unsigned long long)refused, seconds, (double)responses / seconds,
           quantile_us(0.5), quantile_us(0.99), (process_s(pid) - began_cpu) / seconds,
           (own_s() - began_own) / seconds);
    return 0;
}
