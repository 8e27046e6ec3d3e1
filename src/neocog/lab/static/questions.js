// The questions. `right` counts the options from 0; `see` is a page of the lab with what is to be chosen on it.
export default [
  {
    "id": "verb",
    "rung": "Convolution",
    "ask": "What does one do with a picture and a kernel, if the result is their convolution?",
    "options": ["convolute them", "convolve them", "convolutionize them", "convolt them"],
    "right": 1,
    "why": "The verb is to convolve, from the Latin for rolling together. To convolute is to make complicated, as a convoluted excuse is.",
    "see": "line"
  },
  {
    "id": "dice",
    "rung": "Convolution",
    "ask": "The ways to throw each sum of two dice are [1 1 1 1 1 1] convolved with itself. How many ways are there to throw a 7?",
    "options": ["6", "7", "5", "36"],
    "right": 0,
    "why": "1 + 6, 2 + 5, … 6 + 1: as many as the two boxes have samples in common when they lie on each other. Distributions of sums are convolutions.",
    "see": "line?f=box&g=box&t=0"
  },
  {
    "id": "triangle",
    "rung": "Convolution",
    "ask": "A box of width 1 and height 1 is convolved with itself. What comes out?",
    "options": ["a box of width 2", "a bell", "a triangle with its tip at 1", "a triangle with its tip at 2"],
    "right": 2,
    "why": "As one box passes over the other, the overlap grows evenly until they cover each other, with an area of 1, and shrinks evenly.",
    "see": "line?f=box&g=box&t=-0.5"
  },
  {
    "id": "step",
    "rung": "Convolution",
    "ask": "A box of width 2 and height 1 is convolved with a step, which is 1 from 0 on. What is the result far to the right?",
    "options": ["0", "1", "it grows without end", "2"],
    "right": 3,
    "why": "There the step is 1 wherever the box is, so the area under the product is that of the box. To convolve with a step is to sum up everything so far.",
    "see": "line?f=box&fwidth=2&g=step&t=3"
  },
  {
    "id": "correlation",
    "rung": "Image kernels",
    "ask": "What does the convolutional layer of a network really compute?",
    "options": ["a convolution with the mirrored kernel and then once more", "a cross-correlation: the kernel is not mirrored", "a Fourier transform", "a product of the picture with itself"],
    "right": 1,
    "why": "It lays the weights on the picture as they are. That is a convolution with the mirrored kernel, and as the weights are learnt, it makes no difference to what can be learnt.",
    "see": "plane?kernel=-1+0+1+-2+0+2+-1+0+1"
  },
  {
    "id": "laplacian",
    "rung": "Image kernels",
    "ask": "The kernel has 8 in the middle and −1 around. What does it answer where all pixels are 5?",
    "options": ["0", "5", "40", "−5"],
    "right": 0,
    "why": "8 · 5 − 8 · 5. The weights add up to 0, so even surfaces become 0 and only changes are left.",
    "see": "plane?picture=square&kernel=-1+-1+-1+-1+8+-1+-1+-1+-1"
  },
  {
    "id": "identity",
    "rung": "Image kernels",
    "ask": "Which kernel leaves every picture as it is?",
    "options": ["nine ones", "nine zeros", "nine times 1/9", "a 1 in the middle, zeros around"],
    "right": 3,
    "why": "Each cell of the result is one times the pixel in the middle of its window. Nine times 1/9 would be the mean: a blur.",
    "see": "plane?kernel=0+0+0+0+1+0+0+0+0&padding=1"
  },
  {
    "id": "size",
    "rung": "Sizes",
    "ask": "A picture of 28 pixels a side, a kernel of 6, stride 2, no padding. How many cells a side come out?",
    "options": ["11", "12", "14", "22"],
    "right": 1,
    "why": "The window has 28 − 6 = 22 pixels of room. That is 11 steps of 2, and 1 for where it starts.",
    "see": "stack?channels=1&side=28&layers=conv-5-6-2"
  },
  {
    "id": "same",
    "rung": "Sizes",
    "ask": "A kernel of 5 with dilation 2 at stride 1. Which padding keeps the size?",
    "options": ["1", "2", "4", "5"],
    "right": 2,
    "why": "Dilated, the five weights span 9 cells, so 8 are lost without padding: 4 at each end.",
    "see": "stack?layers=conv-16-5-1-4-2"
  },
  {
    "id": "odd",
    "rung": "Sizes",
    "ask": "7 cells, a kernel of 3, stride 3, no padding: how many of the cells does no window see?",
    "options": ["none", "2", "3", "1"],
    "right": 3,
    "why": "Two windows fit, at 0 and at 3, and reach to cell 6. Sizes are rounded down, and what is left at the end is not read.",
    "see": "plane?stride=3"
  },
  {
    "id": "dilation",
    "rung": "Receptive fields",
    "ask": "Three convolutions of 3 × 3 in a row, with dilation 1, 2 and 4. How many pixels a side does a cell see?",
    "options": ["7", "9", "15", "27"],
    "right": 2,
    "why": "1 + 2 + 4 + 8: each layer adds its span less one. The weights are the same 27 as without dilation, which would see 7.",
    "see": "stack?channels=1&side=64&layers=conv-8-3-1-1_conv-8-3-1-2-2_conv-8-3-1-4-4&chosen=2"
  },
  {
    "id": "three",
    "rung": "Receptive fields",
    "ask": "How many 3 × 3 convolutions, at stride 1, see what one 7 × 7 sees?",
    "options": ["2", "3", "4", "7"],
    "right": 1,
    "why": "1 + 2 + 2 + 2 = 7. They need 27 weights for each pair of channels in place of 49, and have two more nonlinearities between: the idea of VGG.",
    "see": "stack?layers=conv-16_relu_conv-16_relu_conv&chosen=4"
  },
  {
    "id": "pooled",
    "rung": "Receptive fields",
    "ask": "Two convolutions of 3 × 3; now the first gets a stride of 2. What becomes of the 5 pixels that a cell of the second sees?",
    "options": ["they stay 5", "they become 7", "they become 10", "they become 3"],
    "right": 1,
    "why": "The cells that the second layer reads are now 2 pixels apart, so its three cells see 3 + 2 · 2. Strides let everything behind them see further.",
    "see": "stack?layers=conv-16-3-2_conv&chosen=1"
  },
  {
    "id": "parameters",
    "rung": "Counts",
    "ask": "Six filters of 5 × 5 on a colour picture, with biases. How many parameters?",
    "options": ["150", "156", "450", "456"],
    "right": 3,
    "why": "A filter is as deep as its input: 5 · 5 · 3 = 75 weights and a bias, six times.",
    "see": "stack?layers=conv-6-5"
  },
  {
    "id": "twice",
    "rung": "Counts",
    "ask": "The picture gets twice as wide and twice as high. What becomes of a convolution with padding that keeps the size?",
    "options": ["as many parameters, 4 times the multiply-adds", "4 times the parameters and the multiply-adds", "4 times the parameters, as many multiply-adds", "both stay"],
    "right": 0,
    "why": "The weights are shared by all places, so their number does not depend on the picture. The work does: each place costs the same.",
    "see": "stack?side=64&layers=conv-6-5-1-2"
  },
  {
    "id": "vgg",
    "rung": "Counts",
    "ask": "VGG-16 has 13 convolutions and 3 dense layers. Where are about three quarters of its weights?",
    "options": ["in the first convolution", "in the last convolution", "in the first dense layer", "evenly in all 16"],
    "right": 2,
    "why": "It reads 512 · 7 · 7 numbers into 4,096 units, and shares nothing. Most of the work, on the other hand, is in the convolutions.",
    "see": "stack?of=vgg16"
  },
  {
    "id": "one",
    "rung": "1 × 1 convolutions",
    "ask": "What can a 1 × 1 convolution do?",
    "options": ["nothing: it sees a single cell", "mix the channels of each cell, and change their number", "halve the width and height", "see the whole picture"],
    "right": 1,
    "why": "It is one dense layer over the channels, the same at every cell. With fewer filters than channels it squeezes, so that what follows costs less.",
    "see": "stack?layers=conv-64-3-1-1_relu_conv-16-1_relu_conv-64-3-1-1&chosen=2"
  },
  {
    "id": "squeeze",
    "rung": "1 × 1 convolutions",
    "ask": "A 3 × 3 convolution reads 256 channels. Now a 1 × 1 convolution squeezes them to 64 before it. How much less does the 3 × 3 cost?",
    "options": ["half", "a quarter of it is left", "a sixteenth of it is left", "nothing changes"],
    "right": 1,
    "why": "Its multiply-adds are proportional to the channels that it reads. If it also gives a quarter of the channels, as in ResNet-50, a sixteenth is left.",
    "see": "stack?layers=conv-256-3-1-1_conv-64-1_conv-256-3-1-1&chosen=1"
  },
  {
    "id": "local",
    "rung": "Sharing",
    "ask": "1000 × 1000 pixels, as many units, each with a window of 10 × 10 and weights of its own. How many weights?",
    "options": ["100", "10⁴", "10⁸", "10¹²"],
    "right": 2,
    "why": "10⁶ units of 100 weights. Fully connected it would be 10¹², with shared weights 100.",
    "see": "sharing?side=1000&window=10"
  },
  {
    "id": "filters",
    "rung": "Sharing",
    "ask": "The same picture under a convolution of 100 filters of 10 × 10. How many weights, without biases?",
    "options": ["10⁴", "10⁶", "10⁸", "100"],
    "right": 0,
    "why": "100 filters of 100 weights, whatever the size of the picture; and 100 maps, each of another pattern.",
    "see": "sharing?side=1000&window=10&filters=100"
  },
  {
    "id": "given-up",
    "rung": "Sharing",
    "ask": "All places share their weights, and pooling keeps what stands out. What is given up?",
    "options": ["seeing patterns that are moved", "colours", "absolute location, and how objects stand to each other", "learning by gradients"],
    "right": 2,
    "why": "The same pattern gives the same answer at every place, so an answer alone does not say where it is from. If only the strongest is kept, pictures with the same objects in other places are one. Where everything always stands in its place, weights of their own may do better.",
    "see": "sharing"
  },
  {
    "id": "max",
    "rung": "Pooling",
    "ask": "The rows 1 1 2 4, 5 6 7 8, 3 2 1 0 and 1 2 3 4 are max-pooled in windows of 2 × 2 at stride 2. What is at the lower right?",
    "options": ["8", "4", "3", "2"],
    "right": 1,
    "why": "The window has 1 and 0 above 3 and 4. The others give 6, 8 and 3.",
    "see": "pooling?row=1&column=1"
  },
  {
    "id": "shift",
    "rung": "Pooling",
    "ask": "A single peak lies at a random place; max-pooling has windows of 2. The peak moves by one cell. How likely is it that the pooled map stays as it is?",
    "options": ["1 in 4", "1 in 2", "always", "never"],
    "right": 1,
    "why": "It stays in its window if it was in the first of the two cells. Windows of 4 would make it 3 in 4: pooling forgives few pixels, not many.",
    "see": "pooling?right=1"
  },
  {
    "id": "switches",
    "rung": "Pooling",
    "ask": "What does unpooling need, which a classifier throws away after max-pooling?",
    "options": ["the places of the maxima", "the smallest value of each window", "the size of the batch", "the labels"],
    "right": 0,
    "why": "These are the switches. With them every value returns to where it was, and outlines come back: this is how DeconvNet draws them.",
    "see": "pooling"
  },
  {
    "id": "order",
    "rung": "Pooling",
    "ask": "ReLU and then max-pooling of 2 × 2, or the other way round?",
    "options": ["only ReLU first is right", "only pooling first is right", "the results differ by a factor", "the same values; pooling first has a quarter of the ReLUs"],
    "right": 3,
    "why": "ReLU never reverses an order, so the largest value stays the largest.",
    "see": "stack?layers=conv-16_max_relu&chosen=2"
  },
  {
    "id": "dense",
    "rung": "From a label to pixels",
    "ask": "A dense layer reads 10 maps of 4 × 4 cells and gives 10 scores. As which convolution can it be written, so that it can slide over larger pictures?",
    "options": ["10 filters of 1 × 1", "160 filters of 1 × 1", "10 filters of 4 × 4", "4 filters of 10 × 10"],
    "right": 2,
    "why": "The same 160 weights and a bias a score. It fits 4 × 4 cells once; on a larger picture it gives a map of answers.",
    "see": "stack?channels=1&side=44&layers=conv-5-6-2_max_relu_conv-10_relu_conv-10-4&chosen=5"
  },
  {
    "id": "transposed",
    "rung": "From a label to pixels",
    "ask": "What does a transposed convolution undo of a convolution with the same numbers?",
    "options": ["its values", "its size", "both", "its training"],
    "right": 1,
    "why": "It is the transpose of the convolution's matrix, not its inverse. The name deconvolution promises too much.",
    "see": "stack?of=deconvnet"
  },
  {
    "id": "fcn",
    "rung": "From a label to pixels",
    "ask": "FCN-8s enlarges the sum of three maps of scores. Of which strides?",
    "options": ["2, 4 and 8", "8, 8 and 8", "8, 16 and 32", "8, 64 and 512"],
    "right": 2,
    "why": "The coarse map knows what, the finer ones know where. FCN-32s has the coarsest alone.",
    "see": "stack?of=fcn-8s"
  },
  {
    "id": "iou",
    "rung": "Detection",
    "ask": "Two boxes of 2 × 2, the second one moved by 1 to the right and 1 down. What is their intersection over union?",
    "options": ["1/4", "1/8", "1/2", "1/7"],
    "right": 3,
    "why": "They share 1, and cover 4 + 4 − 1 together. What is shared must not be counted twice.",
    "see": "stack?of=localizer"
  },
  {
    "id": "fast",
    "rung": "Detection",
    "ask": "Fast R-CNN answers for 2,000 regions as R-CNN does. What does it save?",
    "options": ["the search for regions", "the convolutions of every region: they run once for the picture", "the dense layers", "suppression"],
    "right": 1,
    "why": "Regions are cut out of the shared map, by RoI pooling, and not out of the picture. The search is saved by Faster R-CNN, which proposes regions from that map.",
    "see": "stack?of=fast-rcnn"
  },
  {
    "id": "anchors",
    "rung": "Detection",
    "ask": "Faster R-CNN's map has 38 × 63 cells for a picture of 600 × 1000, with nine anchors each. How many boxes does it judge?",
    "options": ["2,394", "21,546", "8,732", "1,470"],
    "right": 1,
    "why": "38 · 63 · 9. SSD300 has a table of 8,732 boxes on six maps; YOLO gives 1,470 numbers for the whole picture.",
    "see": "stack?of=faster-rcnn"
  }
];
