/* tokenfile.h - a token in a file: written whole or not at all, read with care
 *
 * A token file holds one token and one newline and is for its owner alone
 * (0600, whatever the umask).  It is written beside its place and renamed over
 * it, so nobody reads half a token and a symbolic link standing there is
 * replaced, never followed.
 */
#ifndef RLOCK_TOKENFILE_H
#define RLOCK_TOKENFILE_H

#include "base/error.h"

#include <stdbool.h>
#include <sys/types.h>

#define TOKENFILE_MAX 4096 /* bytes of a token, as SPEC has it */

/* What was read, and from which file, so that only that file is removed. */
struct tokenfile {
	char token[TOKENFILE_MAX + 1];
	dev_t device;
	ino_t inode;
	bool regular;	  /* not a pipe or a terminal */
	bool looks_right; /* a token file, not a script that -f named */
};

/* Before the lock is taken: can a token be written there?  Leaves nothing
 * behind.  False with STATUS_CANNOT_CREATE. */
bool tokenfile_check(const char *path, struct error *err);

/* Writes token and newline.  False with STATUS_CANNOT_CREATE; the file that
 * was there is then untouched. */
bool tokenfile_write(const char *path, const char *token, struct error *err);

/* Reads a token; one newline at its end is dropped.  Blocks as long as the
 * file does (it may be a pipe).  False with STATUS_DATA. */
bool tokenfile_read(const char *path, struct tokenfile *file,
		    struct error *err);

/* Removes the file if it is still the one that was read, and, unless its token
 * has proven to be one, looks right.  Best effort: the token in it is worthless
 * by now. */
void tokenfile_remove(const char *path, const struct tokenfile *file,
		      bool proven);

#endif
