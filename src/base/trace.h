/* trace.h - what --verbose shows
 *
 * The rooms below commands/ say here what they do; commands/ decides whether
 * and where anybody hears it.  Never a password, never a token.
 */
#ifndef RLOCK_TRACE_H
#define RLOCK_TRACE_H

/* From now on each line goes to sink (without newline; called from whichever
 * thread traces).  NULL: nowhere, as at the start.  Call it before the keeper
 * starts. */
void trace_to(void (*sink)(const char *line));

void trace(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
