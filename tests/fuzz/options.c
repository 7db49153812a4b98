/* options.c - the command line and the environment
 *
 * The first byte chooses the command; then each line is an argument, or, with a
 * '=' before it, the rest of a variable's name, a '=' and its value.
 */
#include "commands/options.h"

#include "base/duration.h"
#include "fuzz.h"
#include "lock/lock.h"

#include <getopt.h>
#include <stdio.h>
#include <unistd.h>

#define WORDS_MAX 64

static const struct command_help commands[] = {
	{ COMMAND_ACQUIRE, "acquire", "", "" },
	{ COMMAND_RELEASE, "release", "", "" },
	{ COMMAND_EXTEND, "extend", "", "" },
	{ COMMAND_REACQUIRE, "reacquire", "", "" },
	{ COMMAND_STATUS, "status", "", "" },
	{ COMMAND_RUN, "run", "", "" },
};

static const struct command_help *choose(char letter)
{
	static const char letters[] = "areqsx";
	const char *at = letter ? strchr(letters, letter) : NULL;

	return &commands[at ? at - letters : 0];
}

/* getopt_long keeps where it was, and how it was told to take operands. */
static void reset_getopt(void)
{
	static const struct option none[1];
	char name[] = "rlock";
	char *argv[] = { name, NULL };

	optind = 0;
	getopt_long(1, argv, "-:", none, NULL);
	optind = 1;
}

static void check_run(const struct options *o)
{
	must(o->signal > 0 && o->ttl >= 500);
	must(o->kill_after >= 0 && o->kill_after <= o->ttl / 3);
	must(o->renew > 0 && 2 * o->renew <= o->ttl - o->kill_after);
	must(o->min_hold >= 0 && o->min_hold <= DURATION_MAX);
	must(o->shell_command || (o->command && *o->command));
}

static void check_options(const struct options *o, enum command command)
{
	struct error err;

	must(!o->name || lock_name_check(o->name, &err));
	must(o->ttl >= 0 && o->ttl <= DURATION_MAX);
	must(o->wait >= 0 &&
	     (o->wait <= DURATION_MAX || o->wait == CLOCK_NEVER));
	must(o->timeout > 0 && o->timeout <= DURATION_MAX);
	must(o->message && strlen(o->message) <= TOKEN_MESSAGE_MAX);
	must(!o->owner || (*o->owner && strlen(o->owner) <= TOKEN_OWNER_MAX));
	must(!o->token || (*o->token && strlen(o->token) <= TOKEN_MAX));
	must(o->conflict_status >= 0 && o->conflict_status <= 255);
	must(o->url.host || o->url.path);
	if (command == COMMAND_EXTEND)
		must(o->span > 0 && o->extension != EXTENSION_NONE);
	if (command == COMMAND_RUN)
		check_run(o);
	else if (command != COMMAND_STATUS)
		must(o->name);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	extern char **environ;
	char **usual = environ;
	char *variables[WORDS_MAX + 1] = { NULL };
	char *argv[WORDS_MAX + 2] = { NULL };
	char *text = fuzz_text(data, size);
	const struct command_help *command = choose(*text);
	struct error err = { .status = STATUS_OK };
	struct options options;
	char *rest = text;
	int vars = 0;
	int argc = 0;

	if (!*text) {
		free(text);
		return 0;
	}
	while (argc < WORDS_MAX && vars < WORDS_MAX && *rest) {
		const char *line = strsep(&rest, "\n");

		if (argc && *line == '=')
			must(asprintf(&variables[vars++], "RLOCK_%s",
				      line + 1) > 0);
		else
			must((argv[argc++] = strdup(line)) != NULL);
		if (!rest)
			break;
	}
	environ = variables;
	reset_getopt();
	if (!options_read(&options, command, argc, argv, &err)) {
		must(err.status == STATUS_USAGE || err.status == STATUS_CONFIG);
		must(*err.text && fuzz_is_printable(err.text));
	} else if (!options.help && !options.version) {
		check_options(&options, command->command);
	}
	options_release(&options);
	environ = usual;
	while (vars)
		free(variables[--vars]);
	while (argc)
		free(argv[--argc]);
	free(text);
	return 0;
}
