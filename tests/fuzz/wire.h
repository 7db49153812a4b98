/* wire.h - a server made of bytes, in the place of net.c, a clock that waits for
 * nobody, and a file
 *
 * All above it is rlock's own: conn.c with hiredis reads what comes over the
 * wire as it would from a socket.  There are no system calls and no sleep: who
 * waits for what does not come has waited at once, because the clock jumps.
 *
 * The script of the server is text with these control characters:
 *
 *   RS 0x1e   ends an answer: each write of the client's, and each wait for what
 *             is said unasked, takes the next one; an empty one is silence
 *   GS 0x1d   ends an answer, and then the server closes the connection; at the
 *             start of an answer: it is said as soon as a client has connected
 *   FS 0x1c   what follows comes a tenth of a second later, in another packet
 *
 * After the last answer nobody listens any more, and to find that out takes a
 * tenth of a second.
 *
 * A file that is opened by fopen holds a password, unless its name has a '0':
 * then there is none.
 */
#ifndef RLOCK_FUZZ_WIRE_H
#define RLOCK_FUZZ_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Sets the script, which must outlive its use.  stops: a client that waits after
 * its end, and hears stops, hears one. */
void wire_open(const uint8_t *script, size_t size, bool stops);

/* Checks that nothing stayed open, and that no more memory than one reply may
 * take was in use at any read. */
void wire_close(void);

#endif
