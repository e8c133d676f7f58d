"""DICOM: series of images and their segmentations. Needs the extra `dicom`.

files         find the files of a folder and read them
header        what a file says of its frames, without their pixels
series        the series of a folder, and the segmentations of each
geometry      the order of slices and their affine
pixels        decode frames into values
pseudonyms    names that show nothing of a patient
labels        segmentations as labels of a series
cases         series as the cases of an import
"""
