/* Load generator over UDP: Handle or DNS, one socket, many requests outstanding.
 *
 *   load_udp protocol=handle|dns-udp port=N file=PATH measure_ms=N [depth=N | rate=N] [warm_ms=N]
 *            [count=N] [pid=N] [source=ADDRESS] [tolerant=1]
 *
 * depth: requests outstanding (closed loop). rate: requests a second, whatever comes back;
 * latency then counts from the time at which the request was to be sent. Every request has an
 * id of its own, and an answer counts once, by its id. One that has not come within LOST_S is
 * counted as lost, its latency as what was waited. Exit code 1 with a word on standard error
 * if the system fails.
 */
#include "load.h"

enum { IDS = 1 << 18, BATCH = 64, DATAGRAM = 2048, BUFFER_BYTES = 4 << 20 };
static const double LOST_S = 0.5;

struct waiting {
    double since;
    uint32_t id; /* as it went out */
    int waits;
};

struct batch {
    struct mmsghdr headers[BATCH];
    struct iovec vectors[BATCH];
    uint8_t octets[BATCH][DATAGRAM];
};

static struct waiting table[IDS]; /* by id */
static struct batch in, out;
static uint32_t next_id, oldest_id, id_mask; /* id_mask: the part of an id that is its place in the table */
static int outstanding;

static void prepare(struct batch *b) {
    for (int i = 0; i < BATCH; i++) {
        b->vectors[i] = (struct iovec){b->octets[i], DATAGRAM};
        b->headers[i].msg_hdr = (struct msghdr){.msg_iov = &b->vectors[i], .msg_iovlen = 1};
    }
}

static int open_socket(const struct options *o) {
    struct sockaddr_in here = address_of(o->source, 0), there = address_of("127.0.0.1", (int)o->port);
    int descriptor = socket(AF_INET, SOCK_DGRAM, 0), size = BUFFER_BYTES;
    if (descriptor < 0 || bind(descriptor, (struct sockaddr *)&here, sizeof here) ||
        connect(descriptor, (struct sockaddr *)&there, sizeof there))
        fail("cannot open a socket");
    if (setsockopt(descriptor, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size))
        setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    errno = 0;
    return descriptor;
}

/* How many requests may go out now. */
static int allowed(const struct options *o, const struct schedule *s, double now) {
    int room = (int)(id_mask / 2) - (int)(next_id - oldest_id), wanted;
    if (o->rate > 0) wanted = now < s->first ? 0 : (int)((now - s->first) / s->period) + 1 - (int)s->sent;
    else wanted = (int)o->depth - outstanding;
    if (wanted > room) wanted = room;
    return wanted > BATCH ? BATCH : wanted;
}

static void send_requests(int descriptor, const struct protocol *p, struct requests *all, struct schedule *s,
                          struct run *r, int count) {
    for (int i = 0; i < count; i++, s->sent++, next_id++, outstanding++) {
        uint32_t size;
        const uint8_t *request = next_request(all, &size);
        if (size > DATAGRAM) fail("a request is too long");
        memcpy(out.octets[i], request, size);
        put_number(out.octets[i] + p->id_at, p->id_bytes, next_id);
        out.vectors[i].iov_len = size;
        double due = s->period > 0 ? due_s(s) : r->now;
        table[next_id & id_mask] = (struct waiting){due, get_number(out.octets[i] + p->id_at, p->id_bytes), 1};
        record(&r->lateness, r->now - due);
    }
    for (int sent = 0; sent < count;) {
        int done = sendmmsg(descriptor, out.headers + sent, (unsigned)(count - sent), 0);
        if (done <= 0) fail("cannot send");
        sent += done;
    }
}

static int receive_answers(int descriptor, const struct protocol *p, struct run *r) {
    int count = recvmmsg(descriptor, in.headers, BATCH, MSG_DONTWAIT, NULL);
    if (count < 0 && errno != EAGAIN) fail("cannot receive");
    errno = 0;
    for (int i = 0; i < count; i++) {
        if (in.headers[i].msg_len < p->head_bytes) fail("an answer is too short");
        uint32_t id = get_number(in.octets[i] + p->id_at, p->id_bytes);
        struct waiting *w = &table[id & id_mask];
        if (!w->waits || w->id != id) continue; /* given up before */
        w->waits = 0;
        outstanding--;
        answered(r, w->since, is_success(p, in.octets[i]));
    }
    return count > 0 ? count : 0;
}

/* Passes over what was answered, and gives up what waits too long; at the end, counts all that waits. */
static void give_up(struct run *r, int everything) {
    for (; oldest_id != next_id; oldest_id++) {
        struct waiting *w = &table[oldest_id & id_mask];
        if (!w->waits) continue;
        if (!everything && r->now - w->since < LOST_S) return;
        w->waits = 0;
        outstanding--;
        record(&r->latency, r->now - w->since);
        if (!everything) r->lost++;
    }
}

int main(int count, char **arguments) {
    struct options o = read_options(count, arguments);
    const struct protocol *p = find_protocol(o.protocol);
    struct requests all = map_requests(o.file);
    if (!p->id_bytes) fail("no protocol over UDP");
    id_mask = (p->id_bytes == 2 ? 1u << 16 : IDS) - 1;
    int descriptor = open_socket(&o);
    prepare(&in);
    prepare(&out);
    struct run r = begin_run(&o);
    struct schedule s = {.first = r.now, .period = o.rate > 0 ? 1 / o.rate : 0};
    while (!is_over(&r)) {
        give_up(&r, 0);
        int wanted = allowed(&o, &s, r.now);
        if (wanted > 0) send_requests(descriptor, p, &all, &s, &r, wanted);
        if (!receive_answers(descriptor, p, &r)) wait_for(descriptor, &s);
    }
    if (o.rate > 0) give_up(&r, 1);
    print_result(&r);
    return 0;
}
