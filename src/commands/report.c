/* report.c - what people and programs read */
#include "commands/report.h"

#include "base/duration.h"
#include "base/escape.h"
#include "base/trace.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES	12288 /* a token and an escaped name fit */
#define FOREIGN_SHOWN	8     /* characters of a foreign token */
#define DESCRIPTION_MAX (REPORT_NAME_MAX + 2 * REPORT_HOLDER_MAX + 200)
#define WAIT_MAX	(DESCRIPTION_MAX + REPORT_HOLDER_MAX + 64)

#define LINE_BEGIN "\r\033[K" /* back to the start, clear */
#define HASTE	   50	      /* ms */

static bool quiet;
static bool in_haste;
static bool in_place = true; /* on a terminal: no other lines come between */

/* The cursor stands in the line that is kept up to date on a terminal. */
static bool line_is_open;

/* While a command is guarded, a pager that nobody pages or a terminal that is
 * held must not keep its lock from being renewed or itself from being stopped:
 * then a line is lost instead. */
static void write_stderr(const char *text, size_t len)
{
	struct pollfd ready = { .fd = STDERR_FILENO, .events = POLLOUT };

	if (in_haste && poll(&ready, 1, HASTE) <= 0)
		return;
	/* Nobody can be told that stderr is gone. */
	while (write(STDERR_FILENO, text, len) < 0 && errno == EINTR)
		;
}

__attribute__((format(printf, 1, 0))) static void write_line(const char *fmt,
							     va_list args)
{
	char line[LINE_MAX_BYTES] = "rlock: ";
	size_t head = strlen(line);
	size_t len;

	report_wait_over();
	vsnprintf(line + head, sizeof(line) - head - 1, fmt, args);
	len = strlen(line);
	line[len++] = '\n';
	write_stderr(line, len);
}

/* Called from the keeper's thread too, so it looks at nothing of ours. */
static void trace_line(const char *line)
{
	char whole[LINE_MAX_BYTES];

	snprintf(whole, sizeof(whole), "rlock: %s\n", line);
	write_stderr(whole, strlen(whole));
}

void report_open(bool be_quiet, bool verbose)
{
	quiet = be_quiet;
	in_place = !verbose;
	trace_to(verbose ? trace_line : NULL);
}

void report_in_haste(bool haste)
{
	in_haste = haste;
}

void report_line(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	write_line(fmt, args);
	va_end(args);
}

void report_notice(const char *fmt, ...)
{
	va_list args;

	if (quiet)
		return;
	va_start(args, fmt);
	write_line(fmt, args);
	va_end(args);
}

const char *report_name(char buf[static REPORT_NAME_MAX], const char *name)
{
	buf[0] = '\'';
	escape_display(buf + 1, REPORT_NAME_MAX - 2, name, strlen(name));
	strcat(buf, "'");
	return buf;
}

int report_failure(const char *name, const struct error *err)
{
	char shown[REPORT_NAME_MAX];

	if (name)
		report_line("%s: %s", report_name(shown, name), err->text);
	else
		report_line("%s", err->text);
	return (int)err->status;
}

const char *report_who(char buf[static REPORT_HOLDER_MAX],
		       const struct holder *holder)
{
	char text[REPORT_HOLDER_MAX - 40];
	const struct token_fields *fields = &holder->fields;
	size_t cut;

	if (!holder->foreign) {
		escape_display(text, sizeof(text), fields->owner,
			       strlen(fields->owner));
		snprintf(buf, REPORT_HOLDER_MAX, "%s (pid %ld)", text,
			 fields->pid);
		return buf;
	}
	cut = escape_characters(holder->value, holder->len, FOREIGN_SHOWN);
	escape_display(text, sizeof(text), holder->value, cut);
	snprintf(buf, REPORT_HOLDER_MAX, "foreign token %s%s", text,
		 holder->len > cut ? "..." : "");
	return buf;
}

msec report_age(msec wall)
{
	msec age = clock_wall() - wall;

	return age < 0 ? 0 : age;
}

/* The sentence of report_held. */
static void describe_held(char buf[static DESCRIPTION_MAX], const char *name,
			  const struct holder *holder)
{
	char shown[REPORT_NAME_MAX];
	char who[REPORT_HOLDER_MAX];
	char why[REPORT_HOLDER_MAX] = "";
	char since[DURATION_TEXT_MAX + 8] = "";
	char left[DURATION_TEXT_MAX];
	char end[DURATION_TEXT_MAX + 16] = "never expires";

	if (!holder->foreign) {
		snprintf(since, sizeof(since), " for %s",
			 duration_format(left,
					 report_age(holder->fields.since)));
		escape_display(why, sizeof(why), holder->fields.message,
			       strlen(holder->fields.message));
	}
	if (holder->expires_in >= 0)
		snprintf(end, sizeof(end), "expires in %s",
			 duration_format(left, holder->expires_in));
	snprintf(buf, DESCRIPTION_MAX, "%s is held by %s%s, %s%s%s%s",
		 report_name(shown, name), report_who(who, holder), since, end,
		 *why ? ": \"" : "", why, *why ? "\"" : "");
}

void report_held(const char *name, const struct holder *holder)
{
	char text[DESCRIPTION_MAX];

	describe_held(text, name, holder);
	report_notice("%s", text);
}

/* Writes over the line in place, cut at the terminal's width. */
static void rewrite_line(const char *text)
{
	struct winsize size = { .ws_col = 0 };
	char line[WAIT_MAX + 32];
	size_t columns = 80;
	size_t used = 0;
	const char *p;

	if (!ioctl(STDERR_FILENO, TIOCGWINSZ, &size) && size.ws_col > 8)
		columns = size.ws_col;
	for (p = text; *p; p++) {
		if (((unsigned char)*p & 0xc0) != 0x80)
			used++;
		if (used + sizeof("rlock: ") > columns)
			break;
	}
	snprintf(line, sizeof(line), LINE_BEGIN "rlock: %.*s", (int)(p - text),
		 text);
	write_stderr(line, strlen(line));
	line_is_open = true;
}

const char *report_ordinal(char buf[static REPORT_ORDINAL_MAX], size_t number)
{
	static const char *const ends[] = { "th", "st", "nd", "rd" };
	bool teens = number % 100 / 10 == 1;

	snprintf(buf, REPORT_ORDINAL_MAX, "%zu%s", number,
		 teens || number % 10 > 3 ? "th" : ends[number % 10]);
	return buf;
}

/* The one before us; anybody can write anything into the line. */
static const char *describe_other(char *buf, size_t size,
				  const struct place *place)
{
	const char *who = place->known ? place->other.owner : "somebody";

	return escape_display(buf, size, who, strlen(who));
}

const char *report_promise(char buf[static REPORT_HOLDER_MAX],
			   const struct place *place)
{
	char who[REPORT_HOLDER_MAX - 80];

	snprintf(buf, REPORT_HOLDER_MAX,
		 "free but promised to %s (1st of %d in line)",
		 describe_other(who, sizeof(who), place), place->count);
	return buf;
}

/* "2nd in line, behind bob@web2: 'deploy' is held by ...". */
static void describe_wait(char *buf, size_t size, const char *name,
			  const struct line_news *news)
{
	char nth[REPORT_ORDINAL_MAX];
	char who[REPORT_HOLDER_MAX];
	char text[DESCRIPTION_MAX];
	char shown[REPORT_NAME_MAX];
	const struct place *place = news->place;

	report_name(shown, name);
	if (news->holder)
		describe_held(text, name, news->holder);
	else
		snprintf(text, sizeof(text), "%s%s%s", shown,
			 news->err ? ": waiting: " : " is free",
			 news->err ? news->err->text : "");
	if (!place)
		snprintf(buf, size, "%s", text);
	else if (!place->before)
		snprintf(buf, size, "1st in line: %s", text);
	else
		snprintf(buf, size, "%s in line, behind %s: %s",
			 report_ordinal(nth, (size_t)place->before + 1),
			 describe_other(who, sizeof(who), place), text);
}

bool report_wait(const char *name, const struct line_news *news)
{
	bool terminal = in_place && isatty(STDERR_FILENO);
	char text[WAIT_MAX];

	if (quiet)
		return false;
	describe_wait(text, sizeof(text), name, news);
	if (terminal)
		rewrite_line(text);
	else
		report_line("%s", text);
	return terminal;
}

void report_wait_over(void)
{
	if (line_is_open)
		write_stderr(LINE_BEGIN, strlen(LINE_BEGIN));
	line_is_open = false;
}

void report_doubt(const struct lock *lock)
{
	static char token[4 * TOKEN_MAX + 4];
	char shown[REPORT_NAME_MAX];
	char left[DURATION_TEXT_MAX];
	const char *server = servers_name(lock->servers);

	report_name(shown, lock->name);
	escape_display(token, sizeof(token), lock->token.text, lock->token.len);
	if (!lock->ttl)
		report_line("%s may have been taken on '%s', and it never "
			    "expires: release it with token %s",
			    shown, server, token);
	else
		report_line("%s may have been taken on '%s': it frees itself "
			    "within %s, or release it with token %s",
			    shown, server, duration_format(left, lock->ttl),
			    token);
}

const char *report_rfc3339(char buf[static REPORT_TIME_MAX], msec wall)
{
	time_t seconds = (time_t)(wall / 1000);
	struct tm tm;
	size_t len;

	if (!gmtime_r(&seconds, &tm))
		memset(&tm, 0, sizeof(tm));
	len = strftime(buf, REPORT_TIME_MAX - 8, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(buf + len, REPORT_TIME_MAX - len, ".%03dZ",
		 (int)(wall % 1000));
	return buf;
}

const char *report_local_time(char buf[static REPORT_TIME_MAX], msec wall)
{
	time_t seconds = (time_t)(wall / 1000);
	time_t now = time(NULL);
	struct tm then = { 0 };
	struct tm today = { 0 };
	bool same_day;

	localtime_r(&seconds, &then);
	localtime_r(&now, &today);
	same_day =
		then.tm_year == today.tm_year && then.tm_yday == today.tm_yday;
	if (!strftime(buf, REPORT_TIME_MAX,
		      same_day ? "%H:%M:%S" : "%Y-%m-%d %H:%M:%S", &then))
		buf[0] = '\0';
	return buf;
}

/* --- JSON ------------------------------------------------------------- */

void json_begin(struct json *json, FILE *to)
{
	json->to = to;
	json->first = true;
	fputc('{', to);
}

static void json_key(struct json *json, const char *key)
{
	fprintf(json->to, "%s\"%s\":", json->first ? "" : ",", key);
	json->first = false;
}

void json_null(struct json *json, const char *key)
{
	json_key(json, key);
	fputs("null", json->to);
}

void json_text(struct json *json, const char *key, const char *text, size_t len)
{
	char *escaped = text ? escape_json(text, len) : NULL;

	if (!escaped) {
		json_null(json, key);
		return;
	}
	json_key(json, key);
	fprintf(json->to, "\"%s\"", escaped);
	free(escaped);
}

void json_string(struct json *json, const char *key, const char *text)
{
	json_text(json, key, text, text ? strlen(text) : 0);
}

void json_number(struct json *json, const char *key, long long number)
{
	json_key(json, key);
	fprintf(json->to, "%lld", number);
}

void json_bool(struct json *json, const char *key, bool value)
{
	json_key(json, key);
	fputs(value ? "true" : "false", json->to);
}

void json_array_begin(struct json *json, const char *key)
{
	json_key(json, key);
	fputc('[', json->to);
	json->first = true;
}

void json_array_end(struct json *json)
{
	fputc(']', json->to);
	json->first = false;
}

void json_object_begin(struct json *json)
{
	if (!json->first)
		fputc(',', json->to);
	fputc('{', json->to);
	json->first = true;
}

void json_object_end(struct json *json)
{
	fputc('}', json->to);
	json->first = false;
}

void json_end(struct json *json)
{
	fputs("}\n", json->to);
}

bool report_flush(const char *name)
{
	char shown[REPORT_NAME_MAX] = "";
	const char *why = "some of it is lost"; /* earlier, nobody knows why */

	if (fflush(stdout))
		why = strerror(errno);
	else if (!ferror(stdout))
		return true;
	if (name)
		report_name(shown, name);
	report_line("%s%scannot write to standard output: %s", shown,
		    name ? ": " : "", why);
	return false;
}
