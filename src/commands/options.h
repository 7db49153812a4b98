/* options.h - the command line and the environment, read into one struct
 *
 * One table (options.c) drives getopt_long, --help, the RLOCK_* variables and
 * the test of the completions and the manual.  For each setting the command
 * line beats the environment, which beats the default; what the help calls one
 * setting (-n and -w, say) is settled by the higher source, and within one
 * source by the last.
 */
#ifndef RLOCK_OPTIONS_H
#define RLOCK_OPTIONS_H

#include "base/clock.h"
#include "base/error.h"
#include "server/url.h"

#include <stdbool.h>

/* A command, as a bit, because an option belongs to several. */
enum command {
	COMMAND_ACQUIRE = 1 << 0,
	COMMAND_RELEASE = 1 << 1,
	COMMAND_EXTEND = 1 << 2,
	COMMAND_REACQUIRE = 1 << 3,
	COMMAND_STATUS = 1 << 4,
	COMMAND_RUN = 1 << 5,
};

/* What --help shows of a command beside its options. */
struct command_help {
	enum command command;
	const char *name;
	const char *synopsis; /* lines of operands and options */
	const char *summary;  /* a line for the list of commands */
};

enum extension {
	EXTENSION_NONE,
	EXTENSION_BY,
	EXTENSION_TO
};

/* Strings point into argv or the environment. */
struct options {
	struct url url;
	msec timeout;
	bool quiet;
	bool verbose;
	bool json;
	bool help;
	bool version;

	const char *name;	  /* NULL: none */
	const char *const *names; /* status: the operands, NULL-ended */
	const char *token;	  /* NULL: none */
	const char *token_of;	  /* the lock it is for; NULL: any */
	const char *token_file;	  /* NULL: none */

	msec ttl; /* 0: never expires */
	bool ttl_given;
	msec wait; /* 0: one attempt; CLOCK_NEVER: for ever */
	bool wait_given;
	bool export;
	const char *message; /* never NULL */
	const char *owner;   /* NULL: user@host */
	int conflict_status;

	enum extension extension;
	msec span; /* of --by or --to */
	bool retake;

	bool force;
	bool yes;
	const char *holder; /* NULL: none given */
	const char *match;  /* NULL: all */

	int signal;
	msec kill_after;
	msec renew;
	bool stop_when_lost;
	msec min_hold;		   /* 0: none */
	const char *shell_command; /* -c; NULL: none */
	char **command;		   /* run: what to execute, NULL-ended */
};

/* Reads argv (argv[0] is the command's name) and the environment.  Hides a
 * password in argv.  False with STATUS_USAGE, STATUS_CONFIG or STATUS_DATA.
 * Release it after either outcome. */
bool options_read(struct options *options, const struct command_help *command,
		  int argc, char **argv, struct error *err);
void options_release(struct options *options);

/* Prints the help of one command to stdout. */
void options_print_help(const struct command_help *command);

#endif
