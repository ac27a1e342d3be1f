#include "signal_handlers.h"

namespace trtdet {
namespace {

bool OwnStack(const struct sigaction& action) {
  return action.sa_handler == SIG_DFL || action.sa_handler == SIG_IGN || (action.sa_flags & SA_ONSTACK) != 0;
}

}  // namespace

SignalHandlers::SignalHandlers() {
  for (int signal = 1; signal <= SIGRTMAX; ++signal) {
    struct sigaction action;
    if (sigaction(signal, nullptr, &action) == 0 && OwnStack(action)) saved_.push_back({signal, action});
  }
}

SignalHandlers::~SignalHandlers() {
  for (const Saved& saved : saved_) {
    struct sigaction now;
    if (sigaction(saved.signal, nullptr, &now) == 0 && !OwnStack(now)) sigaction(saved.signal, &saved.action, nullptr);
  }
}

}  // namespace trtdet
