// Keeps a process's signal handlers through calls that may install others.
#ifndef TRTDET_SRC_SIGNAL_HANDLERS_H_
#define TRTDET_SRC_SIGNAL_HANDLERS_H_

#include <csignal>
#include <vector>

namespace trtdet {

// While it lives CUDA may install signal handlers, as it does when it starts
// and when it first runs something. Those without SA_ONSTACK are taken back
// when it dies: one of them crashes a Go program, whose threads have small
// stacks, at the first signal.
class SignalHandlers {
 public:
  SignalHandlers();
  ~SignalHandlers();
  SignalHandlers(const SignalHandlers&) = delete;
  SignalHandlers& operator=(const SignalHandlers&) = delete;

 private:
  struct Saved {
    int signal;
    struct sigaction action;
  };
  std::vector<Saved> saved_;
};

}  // namespace trtdet

#endif  // TRTDET_SRC_SIGNAL_HANDLERS_H_
