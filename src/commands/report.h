/* report.h - what people and programs read
 *
 * All that rlock says is written here: one line on stderr for each thing, whole
 * lines in one write, starting with "rlock: "; stdout is for answers only.
 * Names, owners, messages and foreign values are escaped on their way out;
 * tokens are not shown on stderr, but for the one message that hands over a
 * lock of unknown fate.
 */
#ifndef RLOCK_REPORT_H
#define RLOCK_REPORT_H

#include "base/error.h"
#include "lock/line.h"

#include <stdbool.h>
#include <stdio.h>

#define REPORT_NAME_MAX	  264
#define REPORT_HOLDER_MAX 1400

/* Sets what report_notice and trace lines do; before that they are silent. */
void report_open(bool quiet, bool verbose);

/* From now on a line that cannot be written within 50 ms is lost: while there is
 * something more urgent than words.  Not while another thread runs. */
void report_in_haste(bool haste);

/* A line that is always shown. */
void report_line(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* A line that --quiet silences. */
void report_notice(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Why it did not work, about the lock (NULL: about none).  Returns the exit
 * status that goes with it. */
int report_failure(const char *name, const struct error *err);

/* "'deploy' is held by alice@web3 (pid 4711) for 3m12s, expires in 18s:
 * "v1.2"", unless --quiet. */
void report_held(const char *name, const struct holder *holder);

/* "free but promised to bob@web2 (1st of 3 in line)". */
const char *report_promise(char buf[static REPORT_HOLDER_MAX],
			   const struct place *place);

/* Where we stand in line and behind whom, and who holds the lock; or that the
 * server cannot serve now.  Shown once, or on a terminal as one line that is
 * kept up to date in place: then true, it wants to be told again.  Unless
 * --quiet. */
bool report_wait(const char *name, const struct line_news *news);

/* The wait is over: the line in place goes. */
void report_wait_over(void);

/* The lock may be ours and nothing more can be done about it: name, server,
 * token, and when it frees itself. */
void report_doubt(const struct lock *lock);

/* A lock's name in quotes, escaped and cut. */
const char *report_name(char buf[static REPORT_NAME_MAX], const char *name);

/* Who it is, without when and why: "alice@web3 (pid 4711)", "foreign token
 * 3f2a9c1b...". */
const char *report_who(char buf[static REPORT_HOLDER_MAX],
		       const struct holder *holder);

#define REPORT_ORDINAL_MAX 16

/* "1st", "2nd", "11th". */
const char *report_ordinal(char buf[static REPORT_ORDINAL_MAX], size_t number);

#define REPORT_TIME_MAX 40

/* Wall-clock ms in RFC 3339, UTC. */
const char *report_rfc3339(char buf[static REPORT_TIME_MAX], msec wall);

/* Wall-clock ms as people here read it: time of day, with the date unless it
 * is today. */
const char *report_local_time(char buf[static REPORT_TIME_MAX], msec wall);

/* How long ago wall was, never less than 0: clocks may be apart. */
msec report_age(msec wall);

/* A JSON object on one line: begin, members, end. */
struct json {
	FILE *to;
	bool first;
};

void json_begin(struct json *json, FILE *to);
void json_text(struct json *json, const char *key, const char *text,
	       size_t len); /* text NULL: null */
void json_string(struct json *json, const char *key, const char *text);
void json_number(struct json *json, const char *key, long long number);
void json_null(struct json *json, const char *key);
void json_bool(struct json *json, const char *key, bool value);
void json_array_begin(struct json *json, const char *key);
void json_array_end(struct json *json);
void json_object_begin(struct json *json); /* an element of an array */
void json_object_end(struct json *json);
void json_end(struct json *json);

/* Flushes stdout.  False, reported for the lock of that name (NULL: of none), if
 * what was written did not arrive. */
bool report_flush(const char *name);

#endif
