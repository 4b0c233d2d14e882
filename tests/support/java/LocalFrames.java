import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataOutputStream;
import java.io.InputStreamReader;
import java.util.Base64;

import org.apache.hadoop.hdfs.protocol.ExtendedBlock;
import org.apache.hadoop.hdfs.protocol.datatransfer.Sender;
import org.apache.hadoop.hdfs.protocol.proto.DataTransferProtos.BlockOpResponseProto;
import org.apache.hadoop.hdfs.protocol.proto.DataTransferProtos.ReleaseShortCircuitAccessResponseProto;
import org.apache.hadoop.hdfs.protocol.proto.DataTransferProtos.ShortCircuitShmResponseProto;
import org.apache.hadoop.hdfs.security.token.block.BlockTokenIdentifier;
import org.apache.hadoop.hdfs.shortcircuit.ShortCircuitShm.ShmId;
import org.apache.hadoop.hdfs.shortcircuit.ShortCircuitShm.SlotId;
import org.apache.hadoop.security.token.Token;

/**
 * Says what a stock client says on a datanode's UNIX socket, and reads the answers as it does.
 *
 * Each line of the input is words; each line of the output is a request in base64, or the fields of an answer.
 */
public final class LocalFrames {
    private LocalFrames() {}

    public static void main(String[] ignored) throws Exception {
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            System.out.println(answer(line.split(" ")));
        }
    }

    private static String answer(String[] words) throws Exception {
        ByteArrayOutputStream sent = new ByteArrayOutputStream();
        Sender sender = new Sender(new DataOutputStream(sent));
        switch (words[0]) {
            case "shm":
                sender.requestShortCircuitShm(words[1]);
                break;
            case "fds":
                long length = number(words[4]);
                ExtendedBlock block = new ExtendedBlock(words[1], number(words[2]), length, number(words[3]));
                SlotId slot = words.length > 5 ? slot(words, 5) : null;
                sender.requestShortCircuitFds(block, new Token<BlockTokenIdentifier>(), slot, 1, true);
                break;
            case "release":
                sender.releaseShortCircuitFds(slot(words, 1));
                break;
            default:
                return read(words[0], new ByteArrayInputStream(Base64.getDecoder().decode(words[1])));
        }
        return Base64.getEncoder().encodeToString(sent.toByteArray());
    }

    private static String read(String kind, ByteArrayInputStream answer) throws Exception {
        switch (kind) {
            case "shm-answer":
                ShortCircuitShmResponseProto shm = ShortCircuitShmResponseProto.parseDelimitedFrom(answer);
                return shm.getStatus() + " " + shm.getId().getHi() + " " + shm.getId().getLo();
            case "fds-answer":
                BlockOpResponseProto fds = BlockOpResponseProto.parseDelimitedFrom(answer);
                return fds.getStatus() + " " + fds.hasShortCircuitAccessVersion() + " " + fds.getMessage();
            default:
                return ReleaseShortCircuitAccessResponseProto.parseDelimitedFrom(answer).getStatus().toString();
        }
    }

    private static SlotId slot(String[] words, int at) {
        return new SlotId(new ShmId(number(words[at]), number(words[at + 1])), (int) number(words[at + 2]));
    }

    private static long number(String word) {
        return Long.parseLong(word);
    }
}
