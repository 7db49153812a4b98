/* extend.c - change how long a lock will live: extend */
#include "commands/commands.h"
#include "commands/report.h"
#include "commands/session.h"

int command_extend(const struct options *options, int *death)
{
	enum lock_extend_mode mode = options->extension == EXTENSION_BY
					     ? LOCK_EXTEND_BY
					     : LOCK_EXTEND_TO;
	struct session session;
	struct error err;
	int status;

	(void)death;
	session_open(&session, options, options->name, -1);
	if (session_need_token(&session, &err))
		status = session_extend(&session, mode, options->span);
	else
		status = report_failure(options->name, &err);
	session_close(&session);
	return status;
}
