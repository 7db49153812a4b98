/* error.h - what could not be done, and the exit statuses of every command
 *
 * Nothing below commands/ prints or exits: a function that fails fills a
 * struct error and returns; one place (report.c) shows it.  "Somebody else
 * holds the lock" is not an error but an answer: see enum lock_outcome.
 */
#ifndef RLOCK_ERROR_H
#define RLOCK_ERROR_H

#include <stdbool.h>
#include <stddef.h>

/* The exit statuses; the value is what the process exits with.  The table in
 * error.c holds one row for each, and feeds `rlock --help` and the tests. */
enum status {
	STATUS_OK = 0,
	STATUS_NO = 1,
	STATUS_USAGE = 64,
	STATUS_DATA = 65,
	STATUS_UNAVAILABLE = 69,
	STATUS_INTERNAL = 70,
	STATUS_SYSTEM = 71,
	STATUS_CANNOT_CREATE = 73,
	STATUS_IO = 74,
	STATUS_HELD = 75,
	STATUS_DENIED = 77,
	STATUS_CONFIG = 78,
	STATUS_NOT_OURS = 79,
	STATUS_CANNOT_EXECUTE = 126,
	STATUS_NOT_FOUND = 127,
	STATUS_SIGNAL = 128, /* plus the number of the signal */
};

struct status_row {
	enum status status;
	const char *name;
	const char *meaning;
};

/* The rows in ascending order; *count says how many. */
const struct status_row *status_table(size_t *count);

/* One failure, ready to be shown: no program name, no newline, no password,
 * and nothing from outside that is not escaped. */
struct error {
	enum status status;
	bool passing; /* the server may be able to do it later: worth a retry */
	bool stopped; /* a signal ended the wait, nothing else is wrong */
	char text[1024];
};

/* Fills err; a text that is too long is cut.  Returns false, so that a
 * function may end with `return error_set(...)`. */
bool error_set(struct error *err, enum status status, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* The same, and ends the text with ": " and the meaning of errnum. */
bool error_errno(struct error *err, enum status status, int errnum,
		 const char *fmt, ...) __attribute__((format(printf, 4, 5)));

#endif
