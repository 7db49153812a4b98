/* error.c - failures, and the one table of exit statuses */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct status_row rows[] = {
	{ STATUS_OK, "ok",
	  "done; status: held; run: the command exited 0, lock ours "
	  "throughout" },
	{ STATUS_NO, "no", "status: not held, or not by the token given" },
	{ STATUS_USAGE, "usage", "bad arguments, bad name, no token given" },
	{ STATUS_DATA, "data",
	  "not a string, no token in the file, or a lock that never expires" },
	{ STATUS_UNAVAILABLE, "unavailable",
	  "no usable answer from the server; outcome perhaps unknown" },
	{ STATUS_INTERNAL, "internal", "a bug" },
	{ STATUS_SYSTEM, "system", "no thread, no process, no memory" },
	{ STATUS_CANNOT_CREATE, "cannot create",
	  "the token file cannot be written" },
	{ STATUS_IO, "i/o", "standard output cannot be written" },
	{ STATUS_HELD, "held",
	  "somebody else holds it and the wait is over (-E replaces it)" },
	{ STATUS_DENIED, "denied", "password or ACL refused; do not retry" },
	{ STATUS_CONFIG, "config",
	  "a configuration or password file is wrong" },
	{ STATUS_NOT_OURS, "not ours",
	  "the token does not own the lock; run: lost while it ran" },
	{ STATUS_CANNOT_EXECUTE, "cannot execute",
	  "run: the command cannot be executed" },
	{ STATUS_NOT_FOUND, "not found", "run: the command was not found" },
	{ STATUS_SIGNAL, "signal",
	  "plus N: ended by signal N (run: so was the command)" },
};

const struct status_row *status_table(size_t *count)
{
	*count = sizeof(rows) / sizeof(rows[0]);
	return rows;
}

__attribute__((format(printf, 3, 0))) static void set(struct error *err,
						      enum status status,
						      const char *fmt,
						      va_list args)
{
	err->status = status;
	err->passing = false;
	err->stopped = false;
	vsnprintf(err->text, sizeof(err->text), fmt, args);
}

bool error_set(struct error *err, enum status status, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	set(err, status, fmt, args);
	va_end(args);
	return false;
}

bool error_errno(struct error *err, enum status status, int errnum,
		 const char *fmt, ...)
{
	va_list args;
	size_t used;

	va_start(args, fmt);
	set(err, status, fmt, args);
	va_end(args);
	used = strlen(err->text);
	snprintf(err->text + used, sizeof(err->text) - used, ": %s",
		 strerror(errnum));
	return false;
}
