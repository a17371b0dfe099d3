"""The part of pycaffe_script.py that looks at caffe.io, caffe.proto and caffe.Classifier."""

import caffe
import cv2
import numpy as np
from caffe.proto import caffe_pb2
from google.protobuf import text_format


def look_at_images(note, text):
    random = np.random.RandomState(11)
    pixels = cv2.resize(random.randint(0, 255, (5, 7, 3)).astype(np.uint8), (40, 30))
    image = pixels[:, :, ::-1].astype(np.float32) / 255
    for size in ((8, 8), (30, 40), (61, 50), (13, 90)):
        note(f"resized {size}", caffe.io.resize_image(image * 200 - 30, size))
        note(f"resized grey {size}", caffe.io.resize_image(image[:, :, :1], size))
        note(f"resized five {size}", caffe.io.resize_image(random.standard_normal((20, 20, 5)), size))
    note("one colour", caffe.io.resize_image(np.full((4, 4, 3), 7.0), (2, 2)))
    note("ten crops", caffe.io.oversample([image, image[::-1]], (9, 14)))

    proto = caffe.io.array_to_blobproto(image, image * 2)
    assert type(proto).__name__ == "BlobProto" and isinstance(proto.SerializeToString(), bytes)
    note("blob", caffe.io.blobproto_to_array(proto))
    note("blob's diff", caffe.io.blobproto_to_array(proto, return_diff=True))
    old = caffe_pb2.BlobProto(num=1, channels=2, height=1, width=3, data=range(6))
    note("old blob", caffe.io.blobproto_to_array(old))
    net = caffe_pb2.NetParameter()
    text_format.Merge(text, net)
    note("names of the text", [layer.name for layer in net.layer])
    note("phases", [caffe_pb2.TRAIN, caffe_pb2.TEST])

    transformer = caffe.io.Transformer({"data": (1, 3, 12, 16)})
    note("nothing set", transformer.preprocess("data", image))
    transformer.set_transpose("data", (2, 0, 1))
    transformer.set_channel_swap("data", (2, 1, 0))
    transformer.set_raw_scale("data", 255)
    transformer.set_input_scale("data", 0.1)
    for name, mean in (("channels", np.array([1.0, 2, 3])), ("image", random.standard_normal((3, 12, 16)))):
        transformer.set_mean("data", mean)
        ready = transformer.preprocess("data", image)
        note("ready " + name, ready)
        note("back " + name, transformer.deprocess("data", ready))
    transformer.set_mean("data", random.standard_normal((3, 20, 20)))
    note("mean of another size", transformer.mean["data"])
    wrong = [("set_mean", np.zeros(4)), ("set_transpose", (0, 1)), ("set_channel_swap", (0, 1))]
    for name, value in wrong:
        try:
            getattr(transformer, name)("data", value)
        except Exception:
            continue
        raise AssertionError(name)

    deploy = text.replace("layer { name: 'loss'", "layer { name: 'prob' type: 'Softmax' bottom: 'fc' top: 'prob' } #")
    deploy = (
        deploy.replace("top: 'label'", "").replace("shape { dim: 2 } } }", "} }").split("layer { name: 'weighed'")[0]
    )
    with open("deploy.prototxt", "w") as file:
        file.write(deploy)
    settings = {"mean": np.array([90.0, 100, 110]), "raw_scale": 255, "input_scale": 0.02, "channel_swap": (2, 1, 0)}
    for name, more in (("whole", {}), ("larger", {"image_dims": (12, 11)})):
        classifier = caffe.Classifier("deploy.prototxt", "saved.caffemodel", **settings, **more)
        images = [image, image[::-1], image[:20]]
        note("ten crops of " + name, classifier.predict(images))
        note("one crop of " + name, classifier.predict(images, oversample=False))
    look_at_windows(note, image, settings)


class Pixels(np.ndarray):
    """An image that takes whole numbers in a float's form for indices, as numpy did when Caffe's Detector was made."""

    def __getitem__(self, index):
        whole = [slice(*(int(end) for end in (each.start, each.stop))) for each in index]
        return np.asarray(self)[tuple(whole)]


def look_at_windows(note, image, settings):
    caffe.io.load_image = lambda name: {"a": image, "b": image[5:]}[name].view(Pixels)
    images = [("a", np.array([[3, 5, 20, 31], [0, 0, 9, 8]])), ("b", np.array([[10, 20, 25, 40]]))]
    for pad in (None, 1, 2):
        for name, more in (("mean", settings), ("no mean", {"raw_scale": 255})):
            detector = caffe.Detector("deploy.prototxt", "saved.caffemodel", context_pad=pad, **more)
            found = detector.detect_windows(images)
            note(f"windows, {pad}, {name}", [each["prediction"] for each in found])
            note(f"files, {pad}, {name}", [f"{each['filename']} {each['window'].tolist()}" for each in found])
            note(f"cut, {pad}, {name}", detector.crop(image.view(Pixels), images[0][1][1]))
