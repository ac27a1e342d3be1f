// Runs a function on a thread with a deep stack.
#ifndef TRTDET_SRC_DEEP_STACK_H_
#define TRTDET_SRC_DEEP_STACK_H_

#include <functional>

namespace trtdet {

// TensorRT's builder recurses along the graph: a chain of 4,000 nodes overflows
// the usual 8 MB. Runs call, waits for it, and passes on what it
// throws. Where no such thread is to be had, call runs on this one.
void OnDeepStack(const std::function<void()>& call);

}  // namespace trtdet

#endif  // TRTDET_SRC_DEEP_STACK_H_
