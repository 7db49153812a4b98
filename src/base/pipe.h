/* pipe.h - messages between two threads or processes of ours
 *
 * Each message is one struct, written in one piece or not at all: Linux
 * promises that for PIPE_BUF, a page.  Who writes never waits: a pipe that is
 * full means that its reader sleeps, and every reader looks at the clock itself
 * when it wakes up.
 */
#ifndef RLOCK_PIPE_H
#define RLOCK_PIPE_H

#include <stdbool.h>
#include <stddef.h>

/* ends[0] is read, ends[1] written; neither blocks, and both are closed when
 * something is executed.  False with errno. */
bool pipe_open(int ends[static 2]);

/* Those that are open; the others are -1. */
void pipe_close(int ends[static 2]);

/* Returns although the pipe is full; then the message is lost. */
void pipe_put(int fd, const void *message, size_t size);

enum pipe_taken {
	PIPE_NOTHING, /* yet */
	PIPE_MESSAGE,
	PIPE_END /* nobody is left who could write */
};

/* Takes the next message, of this size.  Does not block. */
enum pipe_taken pipe_take(int fd, void *message, size_t size);

#endif
