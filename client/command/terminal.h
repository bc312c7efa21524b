// What the command is connected to.
#ifndef TOME_CLIENT_COMMAND_TERMINAL_H_
#define TOME_CLIENT_COMMAND_TERMINAL_H_

namespace tome::command {

// Whether the descriptor (STDOUT_FILENO, ...) is a terminal that understands cursor movements.
bool IsTerminal(int descriptor);

// Columns of the terminal behind the descriptor; 80 when it does not tell.
int TerminalColumns(int descriptor);

}  // namespace tome::command

#endif  // TOME_CLIENT_COMMAND_TERMINAL_H_
