import java.io.BufferedReader;
import java.io.EOFException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.LocatedFileStatus;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.RemoteIterator;

/**
 * Reads and writes files of any HDFS through Hadoop's public FileSystem API, in one JVM.
 *
 * A request is a line of words: write URI FOLDER STREAMS FILES BYTES REPLICATION BLOCK_BYTES, read URI FOLDER STREAMS
 * FILES BYTES TIMES, or sums URI FOLDER. Each stream is a thread with FILES files of its own, called STREAM-NUMBER; what
 * is in a file follows from its name. The answer is a line: "ok" and, for sums, name=length:checksum of every file; or
 * "failed" and why.
 */
public final class Streams {
    private static final int PIECE_BYTES = 1 << 20;
    private static final byte[] CONTENT = new byte[4 * PIECE_BYTES];
    private static final ExecutorService THREADS = Executors.newCachedThreadPool();
    private static final Map<String, FileSystem> FILE_SYSTEMS = new HashMap<>();

    private Streams() {}

    public static void main(String[] ignored) throws Exception {
        PrintStream answers = System.out;
        System.setOut(System.err);
        new Random(1).nextBytes(CONTENT);
        BufferedReader requests = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII));
        for (String line = requests.readLine(); line != null; line = requests.readLine()) {
            String answer;
            try {
                answer = answer(line.split(" "));
            } catch (Exception failure) {
                failure.printStackTrace();
                answer = "failed " + failure.toString().replace('\n', ' ');
            }
            answers.println(answer);
            answers.flush();
        }
        System.exit(0);
    }

    private static String answer(String[] words) throws Exception {
        FileSystem files = FILE_SYSTEMS.get(words[1]);
        if (files == null) {
            files = FileSystem.newInstance(new URI(words[1]), new Configuration());
            FILE_SYSTEMS.put(words[1], files);
        }
        FileSystem target = files;
        Path folder = new Path(words[2]);
        if (words[0].equals("sums")) {
            return "ok" + sums(target, folder);
        }
        int count = Integer.parseInt(words[4]);
        long bytes = Long.parseLong(words[5]);
        int further = Integer.parseInt(words[6]);
        List<Future<?>> streams = new ArrayList<>();
        for (int i = 0; i < Integer.parseInt(words[3]); i++) {
            int stream = i;
            streams.add(THREADS.submit(() -> {
                for (int number = 0; number < count; number++) {
                    Path path = new Path(folder, stream + "-" + number);
                    if (words[0].equals("write")) {
                        write(target, path, (stream * count + number) * 4099L, bytes, (short) further,
                            Long.parseLong(words[7]));
                    } else {
                        for (int time = 0; time < further; time++) {
                            read(target, path, bytes);
                        }
                    }
                }
                return null;
            }));
        }
        for (Future<?> stream : streams) {
            stream.get();
        }
        return "ok";
    }

    private static void write(FileSystem files, Path path, long start, long bytes, short replication, long block)
            throws Exception {
        try (FSDataOutputStream out = files.create(path, true, PIECE_BYTES, replication, block)) {
            int from = (int) (start % CONTENT.length);
            for (long left = bytes; left > 0; ) {
                int piece = (int) Math.min(left, Math.min(PIECE_BYTES, CONTENT.length - from));
                out.write(CONTENT, from, piece);
                from = (from + piece) % CONTENT.length;
                left -= piece;
            }
        }
    }

    /** Reads a file through; the client compares what it gets with its checksums. */
    private static void read(FileSystem files, Path path, long bytes) throws Exception {
        byte[] buffer = new byte[(int) Math.min(PIECE_BYTES, bytes)];
        long got = 0;
        try (FSDataInputStream in = files.open(path)) {
            for (int piece = in.read(buffer); piece >= 0; piece = in.read(buffer)) {
                got += piece;
            }
        }
        if (got != bytes) {
            throw new EOFException(path + " has " + got + " of " + bytes + " bytes");
        }
    }

    private static String sums(FileSystem files, Path folder) throws Exception {
        Map<String, String> found = new TreeMap<>();
        RemoteIterator<LocatedFileStatus> entries = files.listFiles(folder, true);
        while (entries.hasNext()) {
            LocatedFileStatus entry = entries.next();
            String name = entry.getPath().toUri().getPath();
            found.put(name, entry.getLen() + ":" + files.getFileChecksum(entry.getPath()));
        }
        StringBuilder said = new StringBuilder();
        found.forEach((name, sum) -> said.append(' ').append(name).append('=').append(sum.replace(' ', '_')));
        return said.toString();
    }
}
