/* main.c - the table of commands, and the way out */
#include "base/error.h"
#include "commands/commands.h"
#include "commands/options.h"
#include "commands/report.h"
#include "process/signals.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const struct command_row {
	struct command_help help;
	int (*main)(const struct options *options, int *death);
} commands[] = {
	{ { COMMAND_ACQUIRE, "acquire", "acquire [OPTION...] NAME",
	    "take a lock and print its token" },
	  command_acquire },
	{ { COMMAND_RELEASE, "release", "release [OPTION...] [NAME]",
	    "free a lock, or break somebody else's" },
	  command_release },
	{ { COMMAND_EXTEND, "extend",
	    "extend (--by DUR | --to DUR) [OPTION...] [NAME]",
	    "add to, or set, the time a lock has left" },
	  command_extend },
	{ { COMMAND_REACQUIRE, "reacquire", "reacquire [OPTION...] [NAME]",
	    "set the time a lock has left back to its TTL" },
	  command_reacquire },
	{ { COMMAND_STATUS, "status", "status [OPTION...] [NAME...]",
	    "show who holds a lock, since when and why" },
	  command_status },
	{ { COMMAND_RUN, "run",
	    "run [OPTION...] NAME [--] COMMAND [ARG...]\n"
	    "       rlock run [OPTION...] -- COMMAND [ARG...]\n"
	    "       rlock run [OPTION...] -c STRING [NAME]",
	    "hold a lock around a command and renew it" },
	  command_run },
};

#define COMMAND_COUNT (sizeof(commands) / sizeof(commands[0]))

static void print_help(void)
{
	const struct status_row *rows;
	size_t count = 0;
	size_t i;

	printf("usage: rlock COMMAND [OPTION...] ...\n\n"
	       "Locks in Redis and Valkey, shared with redis-py and "
	       "valkey-py.\n\n");
	for (i = 0; i < COMMAND_COUNT; i++)
		printf("  %-10s %s\n", commands[i].help.name,
		       commands[i].help.summary);
	printf("\n'rlock COMMAND --help' shows its options, 'man rlock' "
	       "everything.\n\nexit status:\n");
	rows = status_table(&count);
	for (i = 0; i < count; i++)
		printf("  %3d  %-15s %s\n", (int)rows[i].status, rows[i].name,
		       rows[i].meaning);
}

static void print_version(void)
{
	printf("rlock %s\n", RLOCK_VERSION);
}

/* A descriptor below 3 that is closed would be the next socket, and what is
 * written to stdout would go to the server.  What fills the hole closes on exec:
 * the command finds it as it was. */
static bool fill_holes(struct error *err)
{
	int fd;

	for (fd = 0; fd < 3; fd++)
		if (fcntl(fd, F_GETFD) < 0 &&
		    open("/dev/null", (fd ? O_RDONLY : O_WRONLY) | O_CLOEXEC) <
			    0)
			return error_errno(err, STATUS_SYSTEM, errno,
					   "cannot open '/dev/null' in place "
					   "of a stream that is closed");
	return true;
}

/* Was --export meant?  Asked when the arguments could not be read. */
static bool asks_for_export(int argc, char **argv)
{
	int i;

	for (i = 1; i < argc && strcmp(argv[i], "--"); i++)
		if (!strcmp(argv[i], "--export"))
			return true;
	return false;
}

/* What eval gets when there is no lock to export: a failure of its own. */
static void print_failure(int status)
{
	printf("(exit %d)\n", status);
	fflush(stdout);
}

static int run_command(const struct command_row *row, int argc, char **argv,
		       int *death)
{
	struct options options = { .export = false };
	struct error err;
	int status = STATUS_OK;

	if (!fill_holes(&err) ||
	    !options_read(&options, &row->help, argc, argv, &err)) {
		options.export = row->help.command == COMMAND_ACQUIRE &&
				 asks_for_export(argc, argv);
		status = report_failure(NULL, &err);
	} else if (options.help || options.version) {
		if (options.help)
			options_print_help(&row->help);
		else
			print_version();
		status = report_flush(NULL) ? STATUS_OK : STATUS_IO;
	} else {
		report_open(options.quiet, options.verbose);
		status = row->main(&options, death);
	}
	if (options.export && status != STATUS_OK)
		print_failure(status);
	options_release(&options);
	return status;
}

static int run(int argc, char **argv, int *death)
{
	const char *word;
	size_t i;

	if (argc > 1 && !strcmp(argv[1], "--")) {
		argc--;
		argv++;
	}
	word = argc > 1 ? argv[1] : NULL;
	if (!word) {
		report_line("no command (try 'rlock --help')");
		return STATUS_USAGE;
	}
	for (i = 0; i < COMMAND_COUNT; i++)
		if (!strcmp(word, commands[i].help.name))
			return run_command(&commands[i], argc - 1, argv + 1,
					   death);
	if (!strcmp(word, "--help") || !strcmp(word, "-h") ||
	    !strcmp(word, "help"))
		print_help();
	else if (!strcmp(word, "--version") || !strcmp(word, "-V"))
		print_version();
	else {
		char shown[REPORT_NAME_MAX];

		report_line(*word == '-' ? "options such as %s come after the "
					   "command (try 'rlock --help')"
					 : "unknown command %s (try 'rlock "
					   "--help')",
			    report_name(shown, word));
		return STATUS_USAGE;
	}
	return report_flush(NULL) ? STATUS_OK : STATUS_IO;
}

int main(int argc, char **argv)
{
	int death = 0;
	int status;

	status = run(argc, argv, &death);
	if (death)
		signals_raise(death);
	return status;
}
