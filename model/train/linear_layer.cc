#include "model/train/linear_layer.h"
