/* The reference of resolution over UDP: what any program has to pay to the system for each datagram.
 *
 *   echo FILE
 *
 * Answers every datagram on a free port of 127.0.0.1 with the octets of FILE, in which it puts
 * the request id (4 octets at 8) of the request; recvmmsg and sendmmsg of 64. Prints its port.
 */
#include "load.h"

enum { BATCH = 64, DATAGRAM = 2048, ID_AT = 8, ID_BYTES = 4 };

static uint8_t requests[BATCH][DATAGRAM], answers[BATCH][DATAGRAM];
static struct sockaddr_in names[BATCH];
static struct mmsghdr in[BATCH], out[BATCH];
static struct iovec in_vectors[BATCH], out_vectors[BATCH];

static void prepare(const char *path) {
    int file = open(path, O_RDONLY);
    ssize_t size = file < 0 ? -1 : read(file, answers[0], DATAGRAM);
    if (size < ID_AT + ID_BYTES) fail(path);
    for (int i = 0; i < BATCH; i++) {
        memmove(answers[i], answers[0], (size_t)size);
        in_vectors[i] = (struct iovec){requests[i], DATAGRAM};
        out_vectors[i] = (struct iovec){answers[i], (size_t)size};
        in[i].msg_hdr = (struct msghdr){.msg_name = &names[i], .msg_iov = &in_vectors[i], .msg_iovlen = 1};
        out[i].msg_hdr = (struct msghdr){
            .msg_name = &names[i], .msg_namelen = sizeof names[i], .msg_iov = &out_vectors[i], .msg_iovlen = 1};
    }
}

static int open_socket(void) {
    struct sockaddr_in here = address_of("127.0.0.1", 0);
    socklen_t size = sizeof here;
    int descriptor = socket(AF_INET, SOCK_DGRAM, 0);
    if (descriptor < 0 || bind(descriptor, (struct sockaddr *)&here, size) ||
        getsockname(descriptor, (struct sockaddr *)&here, &size))
        fail("cannot open a socket");
    printf("%d\n", ntohs(here.sin_port));
    fflush(stdout);
    return descriptor;
}

int main(int count, char **arguments) {
    if (count != 2) fail("echo FILE");
    prepare(arguments[1]);
    int descriptor = open_socket();
    for (;;) {
        for (int i = 0; i < BATCH; i++) in[i].msg_hdr.msg_namelen = sizeof names[i];
        int got = recvmmsg(descriptor, in, BATCH, MSG_WAITFORONE, NULL);
        if (got <= 0) fail("cannot receive");
        for (int i = 0; i < got; i++) memcpy(answers[i] + ID_AT, requests[i] + ID_AT, ID_BYTES);
        for (int sent = 0; sent < got;) {
            int done = sendmmsg(descriptor, out + sent, (unsigned)(got - sent), 0);
            sent += done > 0 ? done : 1; /* one that cannot be sent is passed over */
        }
    }
}
