public class UrlFetch {
    public static void main(String[] arguments) throws Exception {
        new java.net.URI(System.getenv("BASE") + "/").toURL().openStream().transferTo(System.out);
    }
}
