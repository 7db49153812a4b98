/* options.c - the command line and the environment, read into one struct */
#include "commands/options.h"

#include "base/duration.h"
#include "base/escape.h"
#include "lock/lock.h"
#include "process/signals.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TTL_ACQUIRE	   ((msec)10 * 60 * 1000)
#define TTL_RUN		   ((msec)30 * 1000)
#define TTL_RUN_MIN	   ((msec)500)
#define DEFAULT_TIMEOUT	   "5s"
#define DEFAULT_KILL_AFTER "5s"
#define PASSWORD_MAX	   4096
#define SHOWN_MAX	   200
#define VARIABLE_MAX	   64

/* --- the table -------------------------------------------------------- */

enum id {
	TTL,
	NONBLOCK,
	WAIT,
	TOKEN_FILE,
	TOKEN,
	EXPORT,
	MESSAGE,
	OWNER,
	CONFLICT,
	BY,
	TO,
	RETAKE,
	FORCE,
	HOLDER,
	YES,
	MATCH,
	NAME,
	SHELL_COMMAND,
	SIGNAL,
	KILL_AFTER,
	RENEW,
	ON_LOST,
	MIN_HOLD,
	URL,
	TIMEOUT,
	PASSWORD_FILE,
	QUIET,
	VERBOSE,
	JSON,
	HELP,
	VERSION,
	IDS,
};

#define ACQ COMMAND_ACQUIRE
#define REL COMMAND_RELEASE
#define EXT COMMAND_EXTEND
#define REA COMMAND_REACQUIRE
#define STA COMMAND_STATUS
#define RUN COMMAND_RUN
#define ALL (ACQ | REL | EXT | REA | STA | RUN)

static const struct row {
	const char *name;
	char letter;	    /* 0: none */
	const char *value;  /* what --help calls it; NULL: a flag */
	unsigned int where; /* commands that have it */
	unsigned int env;   /* commands that also take it from RLOCK_* */
	const char *help;
} rows[IDS] = {
	[TTL] = { "ttl", 't', "DUR", ACQ | REA | RUN, ACQ | REA | RUN,
		  "time to live without renewal (acquire 10m, run 30s)" },
	[NONBLOCK] = { "nonblock", 'n', NULL, ACQ | RUN, ACQ | RUN,
		       "one attempt, do not wait" },
	[WAIT] = { "wait", 'w', "DUR", ACQ | RUN, ACQ | RUN,
		   "wait so long at the most; forever is the default" },
	[TOKEN_FILE] = { "token-file", 'f', "FILE", ACQ | REL | EXT | REA | STA,
			 ACQ | REL | EXT | REA | STA,
			 "the token's file: acquire writes it, others read" },
	[TOKEN] = { "token", 0, "TOKEN", ALL, REL | EXT | REA | STA,
		    "the token itself (visible in ps)" },
	[EXPORT] = { "export", 0, NULL, ACQ, 0,
		     "print export commands for eval in sh" },
	[MESSAGE] = { "message", 'm', "TEXT", ACQ | RUN, ACQ | RUN,
		      "why: shown to whoever asks or waits" },
	[OWNER] = { "owner", 0, "TEXT", ACQ | RUN, ACQ | RUN,
		    "who: instead of user@host" },
	[CONFLICT] = { "conflict-exit-code", 'E', "N", ACQ | RUN, ACQ | RUN,
		       "exit with N instead of 75 when held" },
	[BY] = { "by", 0, "DUR", EXT, 0, "add to the remaining time" },
	[TO] = { "to", 0, "DUR", EXT, 0, "set the remaining time" },
	[RETAKE] = { "retake", 0, NULL, REA, 0,
		     "take the lock again if it was lost and is free" },
	[FORCE] = { "force", 0, NULL, REL, 0, "break somebody else's lock" },
	[HOLDER] = { "holder", 0, "TOKEN", REL, 0,
		     "with --force: only if this token holds it" },
	[YES] = { "yes", 0, NULL, REL, 0, "with --force: do not ask" },
	[MATCH] = { "match", 0, "GLOB", STA, STA,
		    "only locks whose name matches" },
	[NAME] = { "name", 0, "NAME", RUN, 0, "the lock's name" },
	[SHELL_COMMAND] = { "command", 'c', "STRING", RUN, 0,
			    "run STRING with $SHELL or /bin/sh" },
	[SIGNAL] = { "signal", 's', "SIG", RUN, RUN,
		     "stop the command with SIG when lost (TERM)" },
	[KILL_AFTER] = { "kill-after", 'k', "DUR", RUN, RUN,
			 "and with KILL so much later (5s, at most TTL/3)" },
	[RENEW] = { "renew", 0, "DUR", RUN, RUN,
		    "time between renewals (TTL/3)" },
	[ON_LOST] = { "on-lost", 0, "ACT", RUN, RUN,
		      "stop (default) or continue when the lock is lost" },
	[MIN_HOLD] = { "min-hold", 0, "DUR", RUN, RUN,
		       "keep the lock so long even if the command is quick" },
	[URL] = { "url", 'u', "URL", ALL, ALL, "the server (" URL_DEFAULT ")" },
	[TIMEOUT] = { "timeout", 0, "DUR", ALL, ALL,
		      "of each connect and each answer (" DEFAULT_TIMEOUT ")" },
	[PASSWORD_FILE] = { "password-file", 0, "FILE", ALL, ALL,
			    "the password is this file's first line" },
	[QUIET] = { "quiet", 'q', NULL, ALL, ALL,
		    "no progress, no notices, no word when held" },
	[VERBOSE] = { "verbose", 'v', NULL, ALL, ALL,
		      "say on stderr what happens" },
	[JSON] = { "json", 0, NULL, ALL, ALL, "answer in JSON" },
	[HELP] = { "help", 'h', NULL, ALL, 0, "show this help" },
	[VERSION] = { "version", 'V', NULL, ALL, 0, "show the version" },
};

/* --- collecting ------------------------------------------------------- */

enum source {
	SOURCE_NONE,
	SOURCE_ENVIRONMENT,
	SOURCE_OPTION
};

/* Where each option was set last, and to what; order grows within a source. */
struct setting {
	const char *value;
	enum source source;
	int order;
};

struct reading {
	const struct command_help *command;
	struct setting set[IDS];
	const char **operands; /* room for all of argv, NULL-ended */
	int count;
	char **rest; /* run: from COMMAND on */
	bool dashes; /* run: "--" came before any operand */
	int order;
	struct error *err;
};

static const char *show(char buf[static SHOWN_MAX], const char *text)
{
	return escape_display(buf, SHOWN_MAX, text, strlen(text));
}

static void variable_name(char buf[static VARIABLE_MAX], const struct row *row)
{
	char *p;

	snprintf(buf, VARIABLE_MAX, "RLOCK_%s", row->name);
	for (p = buf; *p; p++)
		*p = *p == '-' ? '_' : (char)toupper((unsigned char)*p);
}

/* "--ttl" or "RLOCK_TTL", whichever it was; buf is for the latter. */
static const char *origin(char buf[static VARIABLE_MAX],
			  const struct reading *r, enum id id)
{
	if (r->set[id].source == SOURCE_ENVIRONMENT)
		variable_name(buf, &rows[id]);
	else
		snprintf(buf, VARIABLE_MAX, "--%s", rows[id].name);
	return buf;
}

static void put(struct reading *r, enum id id, enum source source,
		const char *value)
{
	r->set[id].value = value;
	r->set[id].source = source;
	r->set[id].order = ++r->order;
}

static bool is_one_of(const char *text, const char *a, const char *b,
		      const char *c)
{
	return !strcasecmp(text, a) || !strcasecmp(text, b) ||
	       !strcasecmp(text, c);
}

/* A flag that is switched off counts as not set. */
static bool read_environment(struct reading *r)
{
	char name[VARIABLE_MAX];
	char shown[SHOWN_MAX];
	int id;

	for (id = 0; id < IDS; id++) {
		const struct row *row = &rows[id];
		const char *value;

		if (!(row->env & r->command->command))
			continue;
		variable_name(name, row);
		value = getenv(name);
		if (!value || !*value)
			continue;
		if (!row->value && is_one_of(value, "0", "no", "false"))
			continue;
		if (!row->value && !is_one_of(value, "1", "yes", "true"))
			return error_set(r->err, STATUS_USAGE,
					 "%s is '%s', not 1, yes, true, 0, no "
					 "or false",
					 name, show(shown, value));
		put(r, (enum id)id, SOURCE_ENVIRONMENT, value);
	}
	return true;
}

/* The tables that getopt_long wants: short options in order of appearance, and
 * long ones whose val is CHAR_MAX + 1 + id. */
struct getopt_tables {
	char letters[2 * IDS + 3];
	struct option longs[IDS + 1];
};

static void make_tables(struct getopt_tables *t, enum command command)
{
	/* "-": operands come in their place; ":": we word the messages. */
	char *to = stpcpy(t->letters, "-:");
	struct option *at = t->longs;
	int id;

	for (id = 0; id < IDS; id++) {
		const struct row *row = &rows[id];

		if (!(row->where & command))
			continue;
		if (row->letter) {
			*to++ = row->letter;
			if (row->value)
				*to++ = ':';
		}
		*at++ = (struct option){
			.name = row->name,
			.has_arg = row->value ? required_argument : no_argument,
			.val = CHAR_MAX + 1 + id,
		};
	}
	*to = '\0';
	*at = (struct option){ .name = NULL };
}

static enum id id_of(int code)
{
	int id;

	if (code > CHAR_MAX)
		return (enum id)(code - CHAR_MAX - 1);
	for (id = 0; id < IDS; id++)
		if (rows[id].letter == code)
			break;
	return (enum id)id;
}

/* getopt_long takes a beginning for the whole; tomorrow's options would make
 * today's scripts ambiguous, so we do not. */
static bool is_abbreviated(const char *arg, enum id id)
{
	size_t len = strcspn(arg, "=");

	return !strncmp(arg, "--", 2) && len - 2 != strlen(rows[id].name);
}

static bool bad_option(struct reading *r, const char *arg, bool no_value)
{
	char shown[SHOWN_MAX];
	char text[SHOWN_MAX];
	size_t len = strncmp(arg, "--", 2) ? strlen(arg) : strcspn(arg, "=");

	snprintf(text, sizeof(text), "%.*s", (int)(len < 150 ? len : 150), arg);
	return error_set(r->err, STATUS_USAGE,
			 "%s '%s' (try 'rlock %s --help')",
			 no_value ? "a value is missing after"
				  : "unknown option, or one without a value:",
			 show(shown, text), r->command->name);
}

/* Does the operand after count others begin the command of `run`? */
static bool begins_command(const struct reading *r)
{
	bool named = r->count > 0 || r->set[NAME].source != SOURCE_NONE;

	return r->command->command == COMMAND_RUN && named &&
	       r->set[SHELL_COMMAND].source == SOURCE_NONE;
}

static bool read_arguments(struct reading *r, int argc, char **argv)
{
	struct getopt_tables tables;
	int before = optind;
	int code;

	make_tables(&tables, r->command->command);
	opterr = 0;
	while ((code = getopt_long(argc, argv, tables.letters, tables.longs,
				   NULL)) != -1) {
		const char *arg = argv[before];

		before = optind;
		if (code == '?' || code == ':')
			return bad_option(r, arg, code == ':');
		if (code == 1) {
			if (begins_command(r)) {
				r->rest = argv + optind - 1;
				return true;
			}
			r->operands[r->count++] = optarg;
		} else if (is_abbreviated(arg, id_of(code))) {
			return bad_option(r, arg, false);
		} else if (id_of(code) == URL &&
			   r->set[URL].source == SOURCE_OPTION) {
			return error_set(r->err, STATUS_USAGE,
					 "--url was given twice");
		} else {
			put(r, id_of(code), SOURCE_OPTION,
			    optarg ? optarg : "");
		}
	}
	r->dashes =
		r->count == 0 && optind > 1 && !strcmp(argv[optind - 1], "--");
	if (r->command->command == COMMAND_RUN &&
	    r->set[SHELL_COMMAND].source == SOURCE_NONE) {
		r->rest = argv + optind;
		return true;
	}
	while (optind < argc)
		r->operands[r->count++] = argv[optind++];
	return true;
}

/* --- settling --------------------------------------------------------- */

static bool is_set(const struct reading *r, enum id id)
{
	return r->set[id].source != SOURCE_NONE;
}

/* Of two that are one setting, silences the one that was set by the lower
 * source, or before the other. */
static void silence(struct reading *r, enum id a, enum id b)
{
	const struct setting *x = &r->set[a];
	const struct setting *y = &r->set[b];
	bool a_wins = x->source > y->source ||
		      (x->source == y->source && x->order > y->order);

	r->set[a_wins ? b : a].source = SOURCE_NONE;
}

/* RLOCK_TOKEN goes with RLOCK_NAME: it is no token for another lock. */
static void limit_token(struct reading *r)
{
	const char *of = getenv("RLOCK_NAME");
	int i;

	if (r->set[TOKEN].source != SOURCE_ENVIRONMENT || !of || !*of)
		return;
	for (i = 0; r->operands[i]; i++)
		if (!strcmp(r->operands[i], of))
			return;
	r->set[TOKEN].source = SOURCE_NONE;
}

static void settle(struct reading *r)
{
	enum command command = r->command->command;

	silence(r, NONBLOCK, WAIT);
	if (command == COMMAND_ACQUIRE) {
		silence(r, TOKEN_FILE, EXPORT);
		silence(r, EXPORT, JSON);
		silence(r, TOKEN_FILE, JSON);
		return;
	}
	limit_token(r);
	if (r->set[TOKEN].source == SOURCE_ENVIRONMENT &&
	    r->set[TOKEN_FILE].source == SOURCE_ENVIRONMENT)
		r->set[TOKEN_FILE].source = SOURCE_NONE;
	silence(r, TOKEN, TOKEN_FILE);
}

/* --- converting ------------------------------------------------------- */

static bool bad_value(const struct reading *r, enum id id, const char *why)
{
	char name[VARIABLE_MAX];
	char shown[SHOWN_MAX];

	origin(name, r, id);
	if (id == TOKEN || id == HOLDER) /* a token is nobody's business */
		return error_set(r->err, STATUS_USAGE, "%s %s", name, why);
	return error_set(r->err, STATUS_USAGE, "%s '%s' %s", name,
			 show(shown, r->set[id].value), why);
}

/* Reads a duration if the option was given; special, if not NULL, is a word
 * that stands for special_value. */
static bool get_span(const struct reading *r, enum id id, msec *span,
		     const char *special, msec special_value)
{
	if (!is_set(r, id))
		return true;
	if (special && !strcmp(r->set[id].value, special)) {
		*span = special_value;
		return true;
	}
	if (!duration_parse(r->set[id].value, span))
		return bad_value(r, id,
				 "is no duration (500ms, 1.5s, 10m, 2h, 1d)");
	return true;
}

static bool get_positive(const struct reading *r, enum id id, msec *span)
{
	if (!get_span(r, id, span, NULL, 0))
		return false;
	return !is_set(r, id) || *span > 0 ||
	       bad_value(r, id, "is less than a millisecond");
}

static bool get_text(const struct reading *r, enum id id, const char **text,
		     size_t least, size_t most)
{
	size_t len;

	if (!is_set(r, id))
		return true;
	*text = r->set[id].value;
	len = strlen(*text);
	if (len < least)
		return bad_value(r, id, "is empty");
	if (len > most) {
		char why[SHOWN_MAX];

		snprintf(why, sizeof(why), "is longer than %zu bytes", most);
		return bad_value(r, id, why);
	}
	return true;
}

static bool get_conflict(const struct reading *r, struct options *o)
{
	const char *text = r->set[CONFLICT].value;

	o->conflict_status = STATUS_HELD;
	if (!is_set(r, CONFLICT))
		return true;
	if (!*text || strlen(text) > 3 || text[strspn(text, "0123456789")] ||
	    atoi(text) > 255)
		return bad_value(r, CONFLICT, "is no number from 0 to 255");
	o->conflict_status = atoi(text);
	return true;
}

/* What acquire and run have in common. */
static bool get_acquire(const struct reading *r, struct options *o)
{
	o->wait = is_set(r, NONBLOCK) ? 0 : CLOCK_NEVER;
	o->wait_given = is_set(r, NONBLOCK) || is_set(r, WAIT);
	o->export = is_set(r, EXPORT);
	return get_span(r, WAIT, &o->wait, "forever", CLOCK_NEVER) &&
	       get_text(r, MESSAGE, &o->message, 0, TOKEN_MESSAGE_MAX) &&
	       get_text(r, OWNER, &o->owner, 1, TOKEN_OWNER_MAX) &&
	       get_conflict(r, o);
}

static bool get_ttl(const struct reading *r, struct options *o)
{
	o->ttl = r->command->command == COMMAND_RUN ? TTL_RUN : TTL_ACQUIRE;
	o->ttl_given = is_set(r, TTL);
	if (!get_span(r, TTL, &o->ttl, "none", 0))
		return false;
	if (o->ttl_given && !o->ttl && strcmp(r->set[TTL].value, "none"))
		return bad_value(r, TTL, "is less than a millisecond");
	return true;
}

static bool get_extend(const struct reading *r, struct options *o)
{
	enum id id = is_set(r, BY) ? BY : TO;

	if (is_set(r, BY) == is_set(r, TO))
		return error_set(r->err, STATUS_USAGE,
				 "extend takes one of --by and --to");
	o->extension = id == BY ? EXTENSION_BY : EXTENSION_TO;
	return get_positive(r, id, &o->span);
}

static bool get_release(const struct reading *r, struct options *o)
{
	o->force = is_set(r, FORCE);
	o->yes = is_set(r, YES);
	if (!o->force && (o->yes || is_set(r, HOLDER)))
		return error_set(r->err, STATUS_USAGE,
				 "--holder and --yes go with --force");
	return get_text(r, HOLDER, &o->holder, 1, 4 * TOKEN_MAX);
}

static bool get_on_lost(const struct reading *r, struct options *o)
{
	const char *text = r->set[ON_LOST].value;

	o->stop_when_lost = true;
	if (!is_set(r, ON_LOST) || !strcmp(text, "stop"))
		return true;
	o->stop_when_lost = false;
	return !strcmp(text, "continue") ||
	       bad_value(r, ON_LOST, "is neither stop nor continue");
}

/* The times of `run` against each other: renewals must fit in twice before the
 * command has to be told. */
static bool get_times(const struct reading *r, struct options *o)
{
	msec most;

	if (!o->ttl || o->ttl < TTL_RUN_MIN)
		return bad_value(r, TTL,
				 "is too short, or none: run wants 500ms or "
				 "more");
	duration_parse(DEFAULT_KILL_AFTER, &o->kill_after);
	if (!get_span(r, KILL_AFTER, &o->kill_after, NULL, 0))
		return false;
	if (o->kill_after > o->ttl / 3)
		o->kill_after = o->ttl / 3;
	most = (o->ttl - o->kill_after) / 2;
	o->renew = o->ttl / 3 < most ? o->ttl / 3 : most;
	if (!get_positive(r, RENEW, &o->renew))
		return false;
	return o->renew <= most ||
	       bad_value(r, RENEW, "is more than half of TTL less -k");
}

static bool get_run(const struct reading *r, struct options *o)
{
	o->signal = SIGTERM;
	if (is_set(r, SIGNAL)) {
		o->signal = signals_parse(r->set[SIGNAL].value);
		if (!o->signal)
			return bad_value(r, SIGNAL, "is no signal");
	}
	return get_times(r, o) && get_on_lost(r, o) &&
	       get_span(r, MIN_HOLD, &o->min_hold, NULL, 0);
}

/* What is left of a command line for `run`: the command, and perhaps NAME. */
static bool get_command(const struct reading *r, struct options *o)
{
	bool shell = is_set(r, SHELL_COMMAND);

	o->name = is_set(r, NAME) ? r->set[NAME].value
		  : r->count	  ? r->operands[0]
				  : NULL;
	if (shell) {
		o->shell_command = r->set[SHELL_COMMAND].value;
		if (r->count + is_set(r, NAME) > 1)
			return error_set(
				r->err, STATUS_USAGE,
				"-c takes the whole command: no "
				"operand but NAME can stand beside it");
		return true;
	}
	o->command = r->rest;
	if (r->count && is_set(r, NAME))
		return error_set(r->err, STATUS_USAGE,
				 "the lock is named twice: by --name and by an "
				 "operand");
	if (!o->name && !r->dashes)
		return error_set(r->err, STATUS_USAGE,
				 "no lock and no command (try 'rlock run "
				 "--help')");
	if (!o->command || !*o->command)
		return error_set(r->err, STATUS_USAGE,
				 "no command (to name the lock after the "
				 "command: rlock run -- ./job.sh)");
	return true;
}

/* NAME of the other commands: an operand, else, where a token is read too,
 * RLOCK_NAME. */
static bool get_names(struct reading *r, struct options *o)
{
	enum command command = r->command->command;
	const char *inherited = getenv("RLOCK_NAME");

	if (command == COMMAND_RUN)
		return get_command(r, o);
	o->names = r->operands;
	o->name = r->operands[0];
	if (o->name && r->set[MATCH].source == SOURCE_ENVIRONMENT)
		r->set[MATCH].source = SOURCE_NONE;
	if (!o->name && command != COMMAND_ACQUIRE && inherited && *inherited &&
	    !is_set(r, MATCH)) {
		r->operands[0] = inherited;
		o->name = inherited;
	}
	if (command == COMMAND_STATUS)
		return !is_set(r, MATCH) || !o->name ||
		       error_set(r->err, STATUS_USAGE,
				 "--match and NAME exclude each other");
	if (r->count > 1)
		return error_set(r->err, STATUS_USAGE,
				 "one lock at a time: there are %d names",
				 r->count);
	return o->name || error_set(r->err, STATUS_USAGE,
				    "no lock named (try 'rlock %s --help')",
				    r->command->name);
}

static bool check_names(const struct reading *r, const struct options *o)
{
	int i;

	if (o->name && !lock_name_check(o->name, r->err))
		return false;
	for (i = 0; r->command->command != COMMAND_RUN && i < r->count; i++)
		if (!lock_name_check(r->operands[i], r->err))
			return false;
	return true;
}

/* --- the server ------------------------------------------------------- */

static bool bad_password_file(const struct reading *r, const char *path,
			      const char *why)
{
	char shown[SHOWN_MAX];

	return error_set(r->err, STATUS_CONFIG, "password file '%s': %s",
			 show(shown, path), why);
}

static bool read_password(const struct reading *r, struct options *o,
			  const char *path)
{
	char text[PASSWORD_MAX + 1];
	FILE *file = fopen(path, "re");
	struct stat st;
	bool done = false;

	if (!file)
		return bad_password_file(r, path, strerror(errno));
	if (!fstat(fileno(file), &st) && S_ISREG(st.st_mode) &&
	    (st.st_mode & S_IROTH))
		bad_password_file(r, path, "others can read it (chmod o-r)");
	else if (!fgets(text, sizeof(text), file))
		bad_password_file(r, path, "it is empty");
	else {
		text[strcspn(text, "\r\n")] = '\0';
		done = url_set_password(&o->url, text) ||
		       error_set(r->err, STATUS_SYSTEM, "out of memory");
	}
	explicit_bzero(text, sizeof(text));
	fclose(file);
	return done;
}

/* The password: from the file, unless the URL has one and comes from a higher
 * source; else from REDISCLI_AUTH. */
static bool get_password(const struct reading *r, struct options *o)
{
	const char *fallback = getenv("REDISCLI_AUTH");
	bool file_wins = !o->url.password ||
			 r->set[PASSWORD_FILE].source >= r->set[URL].source;

	if (is_set(r, PASSWORD_FILE) && file_wins)
		return read_password(r, o, r->set[PASSWORD_FILE].value);
	if (!o->url.password && fallback && *fallback)
		return url_set_password(&o->url, fallback) ||
		       error_set(r->err, STATUS_SYSTEM, "out of memory");
	return true;
}

static bool get_server(const struct reading *r, struct options *o)
{
	const struct setting *url = &r->set[URL];
	bool done = url_parse(
		&o->url, is_set(r, URL) ? url->value : URL_DEFAULT, r->err);

	if (url->source == SOURCE_OPTION)
		url_hide_password((char *)url->value); /* it is argv's */
	duration_parse(DEFAULT_TIMEOUT, &o->timeout);
	return done && get_positive(r, TIMEOUT, &o->timeout) &&
	       get_password(r, o);
}

/* --- all of it -------------------------------------------------------- */

static bool convert(struct reading *r, struct options *o)
{
	static const struct {
		unsigned int where;
		bool (*get)(const struct reading *, struct options *);
	} parts[] = {
		{ ACQ | RUN | REA, get_ttl },
		{ ACQ | RUN, get_acquire },
		{ REL, get_release },
		{ EXT, get_extend },
		{ RUN, get_run },
		{ ALL, get_server },
	};
	size_t i;

	o->json = is_set(r, JSON);
	if (r->set[TOKEN].source == SOURCE_ENVIRONMENT)
		o->token_of = getenv("RLOCK_NAME");
	o->retake = is_set(r, RETAKE);
	o->match = is_set(r, MATCH) ? r->set[MATCH].value : NULL;
	o->token_file = is_set(r, TOKEN_FILE) ? r->set[TOKEN_FILE].value : NULL;
	if (!check_names(r, o) || !get_text(r, TOKEN, &o->token, 1, TOKEN_MAX))
		return false;
	for (i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if ((parts[i].where & r->command->command) &&
		    !parts[i].get(r, o))
			return false;
	return true;
}

bool options_read(struct options *options, const struct command_help *command,
		  int argc, char **argv, struct error *err)
{
	struct reading r = { .command = command, .err = err };

	*options = (struct options){ .message = "", .wait = CLOCK_NEVER };
	r.operands = calloc((size_t)argc + 2, sizeof(*r.operands));
	options->names = r.operands;
	if (!r.operands)
		return error_set(err, STATUS_SYSTEM, "out of memory");
	if (!read_environment(&r) || !read_arguments(&r, argc, argv))
		return false;
	options->quiet = is_set(&r, QUIET);
	options->verbose = is_set(&r, VERBOSE);
	options->help = is_set(&r, HELP);
	options->version = is_set(&r, VERSION);
	if (options->help || options->version)
		return true;
	if (!get_names(&r, options))
		return false;
	settle(&r);
	return convert(&r, options);
}

void options_release(struct options *options)
{
	url_release(&options->url);
	free((void *)options->names);
	options->names = NULL;
}

void options_print_help(const struct command_help *command)
{
	int id;

	printf("usage: rlock %s\n\n%s.\n\n", command->synopsis,
	       command->summary);
	for (id = 0; id < IDS; id++) {
		const struct row *row = &rows[id];
		char name[VARIABLE_MAX];

		if (!(row->where & command->command))
			continue;
		snprintf(name, sizeof(name), "--%s%s%s", row->name,
			 row->value ? " " : "", row->value ? row->value : "");
		printf("  %c%c%s %-24s %s\n", row->letter ? '-' : ' ',
		       row->letter ? row->letter : ' ', row->letter ? "," : " ",
		       name, row->help);
	}
}
