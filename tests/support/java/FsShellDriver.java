import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.lang.reflect.Constructor;
import java.security.PrivilegedExceptionAction;
import java.util.Base64;

import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.hdfs.HdfsConfiguration;
import org.apache.hadoop.security.UserGroupInformation;
import org.apache.hadoop.util.Tool;
import org.apache.hadoop.util.ToolRunner;
import org.apache.hadoop.util.VersionInfo;

/**
 * Runs many commands of Hadoop's own shell and of its administrator's tools in one JVM.
 *
 * A request is a line: user, standard input, class of the tool, arguments, each in base64, joined by commas. The answer:
 * exit status, standard output, standard error, the last two in base64. The first line written is the Hadoop version.
 */
public final class FsShellDriver {
    private FsShellDriver() {}

    public static void main(String[] ignored) throws Exception {
        PrintStream answers = System.out;
        System.setOut(System.err);
        UserGroupInformation.getCurrentUser();
        answers.println(VersionInfo.getVersion());
        answers.flush();
        BufferedReader requests = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII));
        PrintStream log = System.err;
        for (String line = requests.readLine(); line != null; line = requests.readLine()) {
            answers.println(answer(line.split(",", -1), log));
            answers.flush();
        }
    }

    private static String answer(String[] fields, PrintStream log) throws Exception {
        String user = new String(decode(fields[0]), StandardCharsets.UTF_8);
        String tool = new String(decode(fields[2]), StandardCharsets.UTF_8);
        String[] arguments = new String[fields.length - 3];
        for (int i = 0; i < arguments.length; i++) {
            arguments[i] = new String(decode(fields[i + 3]), StandardCharsets.UTF_8);
        }
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        ByteArrayOutputStream err = new ByteArrayOutputStream();
        System.setIn(new ByteArrayInputStream(decode(fields[1])));
        System.setOut(new PrintStream(out, true, "UTF-8"));
        System.setErr(new PrintStream(err, true, "UTF-8"));
        int status;
        try {
            status = run(user, tool, arguments);
        } catch (Throwable failure) {
            failure.printStackTrace(System.err);
            status = 255;
        } finally {
            System.out.flush();
            System.err.flush();
            System.setOut(log);
            System.setErr(log);
            FileSystem.closeAll();
        }
        return status + "," + encode(out) + "," + encode(err);
    }

    private static int run(String user, String tool, String[] arguments) throws Exception {
        Configuration configuration = new HdfsConfiguration();
        PrivilegedExceptionAction<Integer> command =
            () -> ToolRunner.run(configuration, make(tool, configuration), arguments);
        return UserGroupInformation.createRemoteUser(user).doAs(command);
    }

    /** Some tools are made of nothing, others of a configuration, by a constructor that may be hidden. */
    private static Tool make(String name, Configuration configuration) throws ReflectiveOperationException {
        Class<?> tool = Class.forName(name);
        for (Constructor<?> constructor : tool.getDeclaredConstructors()) {
            constructor.setAccessible(true);
            if (constructor.getParameterCount() == 0) {
                return (Tool) constructor.newInstance();
            }
            if (constructor.getParameterCount() == 1 && constructor.getParameterTypes()[0] == Configuration.class) {
                return (Tool) constructor.newInstance(configuration);
            }
        }
        throw new NoSuchMethodException(name + " cannot be made of a configuration");
    }

    private static byte[] decode(String field) {
        return Base64.getDecoder().decode(field);
    }

    private static String encode(ByteArrayOutputStream bytes) {
        return Base64.getEncoder().encodeToString(bytes.toByteArray());
    }
}
