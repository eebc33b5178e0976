/* Load generator over TCP: HTTP/1.1 keep-alive, Handle or DNS, N connections.
 *
 *   load_stream protocol=http|handle|dns-tcp port=N file=PATH measure_ms=N [connections=N] [depth=N]
 *               [rate=N] [warm_ms=N] [count=N] [pid=N] [source=ADDRESS] [tolerant=1]
 *
 * depth: requests in flight on each connection; what may go out at once is sent at once. rate:
 * requests a second, whatever comes back; each goes to the connection that has waited longest,
 * or waits until one is free; latency counts from the time at which it was to be sent. Answers
 * come in the order of their requests; an HTTP response ends by its Content-Length. Exit code 1
 * with a word on standard error if anything else comes back, or the server closes a connection;
 * with tolerant=1 it is opened anew.
 */
#include "load.h"
#include <netinet/tcp.h>
#include <sys/epoll.h>

enum { BUFFER = 65536, DEPTH_MAX = 64, EVENTS = 256 };

struct sent {
    double since;
    uint32_t id;
};

struct connection {
    int socket;
    uint8_t *out; /* what is not sent yet: octets out_begin to out_end */
    size_t out_begin, out_end, out_size;
    size_t received, skip; /* octets in `in`; octets of a body still to come, which are not looked at */
    int success;           /* of the answer whose body is skipped */
    unsigned first, flying; /* requests in flight, in a ring */
    struct sent sent[DEPTH_MAX];
    struct connection *next; /* in the queue of those that may take a request */
    int queued;
    uint8_t in[BUFFER];
};

static struct options options;
static const struct protocol *protocol;
static struct requests requests;
static struct run run;
static struct schedule schedule;
static const struct schedule never;
static struct connection *free_first, *free_last;
static uint32_t next_id;
static int poll_descriptor;

/* ---- opening and closing ---- */

static void open_connection(struct connection *c) {
    struct sockaddr_in here = address_of(options.source, 0), there = address_of("127.0.0.1", (int)options.port);
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c};
    int one = 1;
    c->socket = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(c->socket, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(c->socket, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    if (bind(c->socket, (struct sockaddr *)&here, sizeof here)) fail("cannot bind");
    if (connect(c->socket, (struct sockaddr *)&there, sizeof there) && errno != EINPROGRESS) fail("cannot connect");
    if (epoll_ctl(poll_descriptor, EPOLL_CTL_ADD, c->socket, &event)) fail("epoll_ctl");
    c->out_begin = c->out_end = c->received = c->skip = 0;
    c->first = c->flying = 0;
    errno = 0;
}

static void enqueue(struct connection *c) {
    if (c->queued || c->flying >= (unsigned)options.depth) return;
    c->queued = 1;
    c->next = NULL;
    if (free_first) free_last->next = c;
    else free_first = c;
    free_last = c;
}

/* The server has closed it: an error, or the next one. */
static void lose(struct connection *c, const char *what) {
    if (!options.tolerant) fail(what);
    run.closed++;
    run.lost += c->flying;
    close(c->socket);
    open_connection(c);
    enqueue(c);
}

/* ---- sending ---- */

static void append(struct connection *c, const uint8_t *octets, size_t size) {
    if (c->out_begin == c->out_end) c->out_begin = c->out_end = 0;
    if (c->out_end + size > c->out_size) {
        c->out_size = (c->out_end + size) * 2;
        c->out = realloc(c->out, c->out_size);
        if (!c->out) fail("no memory");
    }
    memcpy(c->out + c->out_end, octets, size);
    c->out_end += size;
}

static void flush_requests(struct connection *c) {
    while (c->out_begin < c->out_end) {
        ssize_t done = send(c->socket, c->out + c->out_begin, c->out_end - c->out_begin, MSG_NOSIGNAL);
        if (done < 0 && errno == EAGAIN) break;
        if (done <= 0) {
            lose(c, "cannot send");
            return;
        }
        c->out_begin += (size_t)done;
    }
    errno = 0;
}

static void begin(struct connection *c, double since) {
    uint32_t size;
    const uint8_t *request = next_request(&requests, &size);
    struct sent *sent = &c->sent[(c->first + c->flying++) % DEPTH_MAX];
    append(c, request, size);
    uint8_t *id = c->out + c->out_end - size + protocol->id_at;
    put_number(id, protocol->id_bytes, next_id++);
    *sent = (struct sent){since, get_number(id, protocol->id_bytes)};
    record(&run.lateness, now_s() - since);
    schedule.sent++;
}

/* Begins what may begin: in a closed loop all that has room, at a fixed rate what is due. */
static void begin_requests(void) {
    while (free_first && (schedule.period == 0 || due_s(&schedule) <= now_s())) {
        struct connection *c = free_first;
        free_first = c->next;
        c->queued = 0;
        if (schedule.period > 0) begin(c, due_s(&schedule));
        else
            while (c->flying < (unsigned)options.depth) begin(c, now_s());
        flush_requests(c);
        enqueue(c);
    }
}

/* ---- receiving ---- */

/* Reads the head of an HTTP response; returns the octets of the response, 0 while the head is not complete. */
static size_t http_size(uint8_t *at, size_t size, int *success) {
    const char *text = (const char *)at, *end = memmem(at, size, "\r\n\r\n", 4);
    if (!end) return 0;
    if (strncmp(text, "HTTP/1.1 ", 9)) fail("no HTTP/1.1 response");
    const char *length = strcasestr(text, "\r\nContent-Length:");
    if (!length || length > end) fail("a response without Content-Length");
    *success = text[9] == '2' || text[9] == '3';
    return (size_t)(end - text) + 4 + strtoul(length + 17, NULL, 10);
}

static size_t binary_size(uint8_t *at, size_t size, uint32_t wanted_id, int *success) {
    if (size < protocol->head_bytes) return 0;
    if (get_number(at + protocol->id_at, protocol->id_bytes) != wanted_id) fail("an answer to another request");
    *success = is_success(protocol, at);
    return protocol->length_behind + get_number(at + protocol->length_at, protocol->length_bytes);
}

static void complete(struct connection *c, int success) {
    answered(&run, c->sent[c->first].since, success);
    c->first = (c->first + 1) % DEPTH_MAX;
    c->flying--;
    enqueue(c);
}

/* Takes the answers that are whole; of the last one, its head is enough. */
static void take_answers(struct connection *c) {
    size_t at = 0;
    while (at < c->received && !has_all(&run)) {
        size_t left = c->received - at, size;
        if (!c->flying) fail("octets that were not asked for");
        c->in[c->received] = 0;
        if (protocol->id_bytes) size = binary_size(c->in + at, left, c->sent[c->first].id, &c->success);
        else size = http_size(c->in + at, left, &c->success);
        if (!size) break;
        if (size > left) {
            c->skip = size - left;
            c->received = 0;
            return;
        }
        at += size;
        complete(c, c->success);
    }
    c->received -= at;
    memmove(c->in, c->in + at, c->received);
    if (c->received == BUFFER - 1) fail("a head is too long");
}

static void receive_answers(struct connection *c) {
    for (;;) {
        ssize_t got = recv(c->socket, c->in + c->received, BUFFER - 1 - c->received, 0);
        if (got < 0 && errno == EAGAIN) break;
        if (got <= 0) {
            lose(c, got ? "cannot receive" : "the server closed a connection");
            return;
        }
        size_t skipped = (size_t)got < c->skip ? (size_t)got : c->skip;
        c->skip -= skipped;
        if (skipped) {
            memmove(c->in, c->in + skipped, (size_t)got - skipped);
            if (!c->skip) complete(c, c->success);
        }
        c->received += (size_t)got - skipped;
        take_answers(c);
        if (!c->flying) break; /* what comes unasked is an event of its own */
    }
    errno = 0;
}

/* At a fixed rate, what is under way or overdue at the end has waited at least so long. */
static void record_waiting(const struct connection *all) {
    for (int i = 0; i < (int)options.connections; i++)
        for (unsigned k = 0; k < all[i].flying; k++)
            record(&run.latency, run.now - all[i].sent[(all[i].first + k) % DEPTH_MAX].since);
    for (; due_s(&schedule) < run.now; schedule.sent++) record(&run.latency, run.now - due_s(&schedule));
}

int main(int count, char **arguments) {
    options = read_options(count, arguments);
    protocol = find_protocol(options.protocol);
    requests = map_requests(options.file);
    if (options.depth < 1 || options.depth > DEPTH_MAX) fail("depth is out of bounds");
    poll_descriptor = epoll_create1(0);
    struct connection *all = calloc((size_t)options.connections, sizeof *all);
    struct epoll_event events[EVENTS];
    for (int i = 0; i < (int)options.connections; i++) {
        open_connection(&all[i]);
        enqueue(&all[i]);
    }
    run = begin_run(&options);
    schedule = (struct schedule){.first = run.now, .period = options.rate > 0 ? 1 / options.rate : 0};
    while (!is_over(&run)) {
        begin_requests();
        if (schedule.period > 0) wait_for(poll_descriptor, free_first ? &schedule : &never);
        int ready = epoll_wait(poll_descriptor, events, EVENTS, schedule.period > 0 ? 0 : (int)(WAIT_S * 1e3));
        for (int i = 0; i < ready; i++) {
            struct connection *c = events[i].data.ptr;
            if (events[i].events & EPOLLOUT) flush_requests(c);
            if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) receive_answers(c);
            begin_requests();
        }
    }
    if (schedule.period > 0) record_waiting(all);
    print_result(&run);
    return 0;
}
